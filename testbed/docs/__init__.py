"""Pages about the testbed, in Markdown: one file, one subject."""
