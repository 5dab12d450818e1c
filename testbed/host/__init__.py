"""What this machine gives a process: processors, memory, priority, and its own errors."""
