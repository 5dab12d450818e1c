"""Everything that can make a run suspect or invalid, each check with its limit."""
