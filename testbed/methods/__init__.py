"""One published system per file: what the device drafts and uploads, what the verifier answers."""
