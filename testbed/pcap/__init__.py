"""Packet captures: taken, read, and every byte accounted for."""
