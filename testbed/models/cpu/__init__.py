"""Llama's forward pass on a CPU, with faster operators where they agree with plain layers."""
