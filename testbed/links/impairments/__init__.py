"""Effects on packets besides rate, queue, delay and jitter: one impairment per file."""
