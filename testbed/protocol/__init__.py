"""What device and verifier say to each other, and both ends of it; no sockets."""
