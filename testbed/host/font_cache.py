"""Folder for matplotlib's cache of fonts."""

from __future__ import annotations

import os

import platformdirs

from testbed.host.cache import cache_root, can_be_written


def keep_fonts() -> None:
    """Let matplotlib use this project's cache if it cannot write to the user's own folder.

    Otherwise it searches for all fonts at each start, prints a warning, and leaves a folder in
    TMPDIR when it is killed. Call this before matplotlib is imported.
    """
    theirs, ours = platformdirs.user_config_path("matplotlib"), cache_root() / "matplotlib"
    if "MPLCONFIGDIR" not in os.environ and not can_be_written(theirs) and can_be_written(ours):
        os.environ["MPLCONFIGDIR"] = str(ours)
