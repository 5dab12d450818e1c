"""Distribution -> bits -> the same distribution. No models, no sockets."""
