"""`testbed doctor`: check this machine, name what to install, and show what a run would use.

To add a check, write one function and add a line for it to `examine.CHECKS`.
"""
