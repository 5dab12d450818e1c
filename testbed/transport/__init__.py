"""Messages, and the channels that carry them."""
