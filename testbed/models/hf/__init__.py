"""Models of the transformers library, and the files that they are loaded from."""
