"""The mathematics of speculative decoding. NumPy only."""
