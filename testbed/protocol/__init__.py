"""The protocol between device and verifier: messages and both ends, without sockets."""
