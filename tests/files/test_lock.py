"""Locks, with flock and without: one process at a time, and what a killed one leaves."""

from __future__ import annotations

import threading
import time

import pytest

from testbed.errors import TestbedError
from testbed.files import lock
from testbed.files.lock import HeldError, lock_file, locked


@pytest.fixture(params=["flock", "file"])
def kind(request, monkeypatch):
    if request.param == "file":
        monkeypatch.setattr(lock, "_flock", lambda: None)
    return request.param


@pytest.mark.parametrize("of", ["folder", "file"])
def test_a_lock_is_held_once_and_free_again_whatever_happened(tmp_path, kind, of):
    path = tmp_path if of == "folder" else tmp_path / "x"
    path.touch()
    with pytest.raises(KeyError), locked(path, wait=False):
        with pytest.raises(HeldError), locked(path, wait=False):
            raise AssertionError("it was held")
        raise KeyError
    with locked(path, wait=False):
        assert lock_file(path).exists() == (kind == "file")
    assert not lock_file(path).exists()


def test_who_waits_gets_it_after_whoever_has_it(tmp_path, kind):
    order = []

    def wait() -> None:
        with locked(tmp_path, wait=True):
            order.append("second")

    with locked(tmp_path, wait=True):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_what_a_killed_process_left_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_flock", lambda: None)
    monkeypatch.setattr(lock, "_PATIENCE", 0.02)
    left = lock_file(tmp_path)
    left.touch()
    with pytest.raises(HeldError, match=f"^; remove {left} if it was killed$"):
        locked(tmp_path, wait=False).__enter__()
    with pytest.raises(TestbedError, match=f"^{left}: .* remove the file if no run is going on$"):
        locked(tmp_path, wait=True).__enter__()
    assert left.exists()


def test_what_is_not_there_cannot_be_locked(tmp_path, kind):
    with pytest.raises(FileNotFoundError):
        locked(tmp_path / "gone" / "x", wait=True).__enter__()
