"""Commands whose output cannot be written, and commands interrupted at their start."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.host import machine_errors
from testbed.host.machine_errors import naming, sentence


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command; $TESTBED is the command line, and a pipe fails if a part of it does."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "TESTBED": f"{sys.executable} -m testbed", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "code", "said", "errors"),
    [
        ("$TESTBED methods | true", 0, "", ""),
        ("$TESTBED topologies >&-", 0, "", ""),
        ("$TESTBED topologies >&- 2>&-", 0, "", ""),
        ("$TESTBED show /nowhere >&- 2>&-", 1, "", ""),
        (
            "$TESTBED topologies >/dev/full",
            1,
            "",
            "error: standard output: no space is left on the device; free some\n",
        ),
        ("$TESTBED show /nowhere >/dev/full 2>&1", 1, "", ""),
        (
            "LC_ALL=C.UTF-8 PYTHONIOENCODING=ascii $TESTBED show /nöwhere 2>&1",
            1,
            "error: /n\\xf6where: no",
            "",
        ),
        ("PYTHONIOENCODING=ascii $TESTBED methods", 0, "method ", ""),
    ],
)
def test_output_that_cannot_be_written_is_no_traceback(command, code, said, errors):
    done = shell(command)
    assert (done.returncode, done.stderr) == (code, errors)
    assert done.stdout.startswith(said)
    assert "Traceback" not in done.stdout


UNBUFFERED = """
import os
from testbed.output.streams import protect_streams
protect_streams()
print("all of it")
os._exit(0)
"""


@pytest.mark.parametrize(("asked", "said"), [("", ""), ("1", "all of it\n")])
def test_output_is_unbuffered_on_request(asked, said):
    environment = {**os.environ, "PYTHONUNBUFFERED": asked}
    argv = [sys.executable, "-c", UNBUFFERED]
    assert subprocess.check_output(argv, env=environment, text=True, timeout=60) == said


CLOSED = """
import os, subprocess, sys
from testbed.output.streams import protect_streams
os.close(0), os.close(1)
protect_streams()
with open(sys.argv[1], "w") as file:
    print("not into the file")
    subprocess.run(["echo", "nor this"], check=True)
    file.write("only this")
"""


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", CLOSED, str(path)], check=True, timeout=60)
    assert path.read_text() == "only this"


INTERRUPTED = """
import sys
from testbed.cli import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == "rich":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["methods"]
main()
"""


def test_ctrl_c_while_importing_is_no_traceback():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "/r/x.json: no space is left on the device; free some"),
        (errno.EROFS, "/r/x.json: the file system is read-only; choose another place"),
        (errno.EMFILE, "this process has too many files open; raise the limit, `ulimit -n`"),
        (errno.ECHILD, "No child processes"),
    ],
)
def test_an_error_names_the_file_that_it_is_about_and_no_other(number, said):
    error = OSError(number, os.strerror(number))
    with suppress(OSError), naming("/r"), naming("/r/x.json"):
        raise error
    assert sentence(error) == said


def test_what_the_kernel_names_stays_named():
    with pytest.raises(OSError, match="No such file") as caught, naming("/r/x.json"):
        Path("/no/where").write_text("")
    assert sentence(caught.value) == "/no/where: No such file or directory"
    assert sentence(TestbedError("a: b")) == "a: b"
    assert sentence(MemoryError()) == machine_errors._KINDS[errno.ENOMEM]
    assert sentence(OSError("gzip ended with 1")) == "gzip ended with 1"
