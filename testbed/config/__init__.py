"""YAML read strictly and converted to typed data, once for the whole project."""
