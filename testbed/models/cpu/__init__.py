"""A Llama forward pass for processors, with quicker operators where they agree with the plain."""
