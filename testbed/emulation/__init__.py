"""Emulation of links: the sandbox, the Mininet network, and the wires that shape its links."""
