"""Resources of this machine for a process: processors, memory, priority, and their errors."""
