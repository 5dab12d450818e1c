"""Scenario files: schema, loading, sweeps, order of runs."""
