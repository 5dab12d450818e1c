"""The commands of `testbed`; each file adds one or more.

Their functions import what they need when called: `testbed methods` should not load a network.
"""
