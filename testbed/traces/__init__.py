"""What was measured: events, accounting, verdicts."""
