"""Durations of forward passes: measured here, or emulated for other hardware."""
