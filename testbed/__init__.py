"""Network-emulation testbed for edge-cloud speculative decoding."""

__version__ = "0.1.0"
