"""Output for people: terminal, tables and formatting, in which text is never markup."""
