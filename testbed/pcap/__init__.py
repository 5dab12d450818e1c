"""Packet captures: record them, read them, and assign each byte to its use."""
