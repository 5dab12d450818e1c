"""Analysis of results: generations that count, metrics, intervals, claims, tables, exports."""
