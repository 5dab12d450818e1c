"""Effects on packets other than rate, queue, delay and jitter: one impairment per file."""
