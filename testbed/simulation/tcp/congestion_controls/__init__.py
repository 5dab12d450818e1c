"""Congestion controls by Linux's names, one per file."""
