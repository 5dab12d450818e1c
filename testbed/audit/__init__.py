"""Everything that can make a run suspect or invalid: what is watched, and the checks on it."""
