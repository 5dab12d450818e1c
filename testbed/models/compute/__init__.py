"""How long forward passes take, here or on hardware that is not there."""
