"""Helpers of the tests: toy models, exact laws, stand-in runs, records."""
