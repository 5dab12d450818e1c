"""Reading, atomic writing and checksums of files."""
