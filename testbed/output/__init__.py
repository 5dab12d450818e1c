"""What people read on a terminal; whatever stands in a text, it stays text."""
