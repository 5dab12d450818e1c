"""From the rows of results to tables: which count, means, intervals, claims, exports."""
