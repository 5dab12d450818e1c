"""Files as they were written: read whole, written whole, checked."""
