"""matplotlib's cache of fonts is in a folder that can be written."""

import os

import pytest

from testbed.host.cache import can_be_written, existing
from testbed.host.font_cache import keep_fonts


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return a function that makes both folders, calls keep_fonts, and returns its choice."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "theirs"))
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "ours"))
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)

    def named(*unwritable):
        access = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: path.name not in unwritable and access(path, mode)
        )
        keep_fonts()
        return os.environ.get("MPLCONFIGDIR")

    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    yield named
    os.environ.pop("MPLCONFIGDIR", None)


@pytest.mark.parametrize(
    ("unwritable", "named"),
    [([], None), (["theirs"], "ours/matplotlib"), (["ours"], None), (["theirs", "ours"], None)],
)
def test_our_cache_takes_over_where_the_users_folder_cannot_be_written(
    tmp_path, folders, unwritable, named
):
    assert folders(*unwritable) == (named and str(tmp_path / named))


def test_a_folder_that_the_user_named_is_kept(monkeypatch, folders):
    monkeypatch.setenv("MPLCONFIGDIR", "/somewhere")
    assert folders("theirs") == "/somewhere"


def test_a_folder_that_cannot_be_looked_up_counts_as_missing(tmp_path):
    """A folder that cannot be searched, like another user's; here its name is too long."""
    assert existing(tmp_path / ("x" * 300) / "testbed") == tmp_path
    assert can_be_written(tmp_path / ("x" * 300))
