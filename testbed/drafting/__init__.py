"""Draft-length policies: how many tokens a device drafts before it asks the verifier."""
