"""Store of model files: resolve a name, download, convert, keep."""
