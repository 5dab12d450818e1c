"""Targets behind a server that somebody else runs; see testbed/docs/served_targets.md."""
