"""`testbed doctor`: what this machine can do, what a run would use, and what to install for more.

To add a check, write one function and give it a line in `examine.CHECKS`.
"""
