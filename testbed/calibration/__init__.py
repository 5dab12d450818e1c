"""Does a link do what it was asked to? Measured with real packets before anyone relies on it."""
