"""Strict reading of YAML and its conversion to typed data, once for the whole project."""
