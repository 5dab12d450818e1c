"""What a link may do to packets besides carrying them: one impairment per file."""
