"""Calibration: measure with real packets that a link has the properties requested of it."""
