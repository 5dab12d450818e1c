"""Property tests have no deadline: a machine that is busy for a moment is no failure."""

from hypothesis import settings

settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")
