"""Carriers of messages between device and verifier: ZeroMQ, or one process."""
