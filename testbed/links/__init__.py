"""What a link does to packets, as data and pure logic; no I/O."""
