"""One self-contained HTML page of a results directory."""
