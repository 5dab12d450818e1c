"""The end of a node, as the runner learns of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.experiment import node_process
from testbed.experiment.node_process import NodeProcess
from testbed.protocol.control import Ready

NODE = """
import errno, os
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its log has no space
from nodes.arguments import run
from testbed.protocol.control import NodeEnd, Ready

def main():
    {ready}
    {ends}

run(main)
"""


def start(folder: Path, ready: str, ends: str) -> NodeProcess:
    """Start a node that does this."""
    (folder / "dying.py").write_text(NODE.format(ready=ready, ends=ends))
    paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])

    def popen(argv, **keywords) -> subprocess.Popen:
        return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": paths}, **keywords)

    return NodeProcess("device", "dying", [], folder / "log", popen)


FULL = "raise OSError(errno.ENOSPC, 'x', '/r/device.jsonl')"


@pytest.mark.parametrize(
    ("ready", "ends", "said"),
    [
        # While its model is loaded, and later.
        (
            "",
            FULL,
            "died (exit code 1): /r/device.jsonl: no space is left on the device; free some",
        ),
        ("NodeEnd().send(Ready())", FULL, "died (exit code 1): /r/device.jsonl: no space is left"),
        ("", "raise MemoryError", "died (exit code 1): there is not enough memory; "),
        ("", "raise RuntimeError('of torch')", "died (exit code 1): RuntimeError: of torch"),
        ("", "os._exit(3)", "died (exit code 3): it said nothing"),
        ("", "os.kill(os.getpid(), 9)", "died (signal SIGKILL): it said nothing"),
    ],
)
def test_a_node_whose_log_has_no_space_still_says_why_it_ends(tmp_path, ready, ends, said):
    node = start(tmp_path, ready, ends)
    if ready:
        assert node.receive(60) == Ready()
    with pytest.raises(TestbedError, match=r"^node device ") as caught:
        node.receive(60)
    assert said in str(caught.value)
    with pytest.raises(TestbedError) as again:
        node.check()
    assert str(again.value) == str(caught.value)
    node.stop()


def test_a_node_that_falls_silent_and_does_not_end_is_named_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(node_process, "PATIENCE", 0.1)
    node = start(tmp_path, "", "os.close(1); __import__('time').sleep(600)")
    with pytest.raises(
        TestbedError,
        match=r"^node device closed its output \(it did not end within 0\.1 s\): it said nothing; ",
    ):
        node.receive(60)
    node.stop(grace=0.1)
