"""The commands of `testbed`; each file adds one or more.

Their functions import what they need when they are called, so that `testbed methods` does not load
Mininet.
"""
