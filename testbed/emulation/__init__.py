"""Making links happen: the sandbox, the Mininet network, and the wires that shape it."""
