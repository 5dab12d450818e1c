"""TCP as Linux hosts do it: each end of a connection a state machine without sockets or clock."""
