"""The results directory: its files, rows, verdict and journal; resuming what was interrupted."""
