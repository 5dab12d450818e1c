"""Rendering chat templates, which are programs of whoever made a model, in a process of their own.

Jinja's sandbox keeps a template from everything but time and memory. So it has little of either,
and its process ends with what goes beyond.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

SECONDS = 5
"""Of computing, for one turn; it takes milliseconds."""
MEMORY = 1 << 30
"""Bytes beside those that the process began with."""
_LONGEST = 1 << 26  # bytes of a rendered turn
_PATIENCE = 60.0  # seconds until a process that does not even compute is given up


class TemplateFailedError(Exception):
    """A template did not render; says why."""


class Renderer:
    """Renders prompts with `render` in a child process, which begins with the first of them.

    One child renders all: forking a process that holds a model's tables takes longer than that.
    """

    def __init__(self, render: Callable[[str], str]) -> None:
        self._render = render
        self._process: ForkProcess | None = None
        self._connection: Connection | None = None

    def __call__(self, prompt: str) -> str:
        """The turn as the template writes it. Raises TemplateFailedError when it cannot be had."""
        connection = self._connection or self._start()
        try:
            connection.send_bytes(prompt.encode("utf-8", "surrogatepass"))
            if not connection.poll(_PATIENCE):
                raise TemplateFailedError(self._end(f"it was silent for {_PATIENCE:.0f} s"))
            answer = connection.recv_bytes().decode("utf-8", "surrogatepass")
        except (EOFError, OSError):
            raise TemplateFailedError(self._end("its process died")) from None
        except KeyboardInterrupt:
            self._end("")  # or the next prompt would get this one's answer
            raise
        if answer[0] == "-":
            raise TemplateFailedError(answer[1:])
        return answer[1:]

    def _start(self) -> Connection:
        forked = multiprocessing.get_context("fork")
        self._connection, theirs = forked.Pipe()
        self._process = forked.Process(
            target=_serve, args=(self._render, theirs, self._connection), daemon=True
        )
        with warnings.catch_warnings():
            # Of threads: the child renders and does nothing else, least of all compute.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()
        return self._connection

    def _end(self, reason: str) -> str:
        """End the child; return that it computed for too long if that ended it, else `reason`."""
        assert self._process is not None
        assert self._connection is not None
        self._connection.close()
        self._process.join(1)  # what has closed its end is about to die
        code = self._process.exitcode
        self._process.kill()
        self._process.join()
        self._process = self._connection = None
        return f"it computed for {SECONDS} s" if code == -signal.SIGXCPU else reason


def _limit(what: int, most: int) -> None:
    """Set a limit of this process, within what it may set."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _serve(render: Callable[[str], str], connection: Connection, theirs: Connection) -> None:
    """Answer prompts until nobody asks any more: "+" and the turn, or "-" and why there is none."""
    theirs.close()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, size + MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent handles it
    while True:
        try:
            prompt = connection.recv_bytes().decode("utf-8", "surrogatepass")
        except (EOFError, OSError):
            return
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + SECONDS)
        try:
            answer = f"+{render(prompt)}"
        except Exception as error:  # whatever a template may raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            answer = f"-{lines[0]}"
        content = answer.encode("utf-8", "surrogatepass")
        if len(content) > _LONGEST:
            content = f"-it writes more than {_LONGEST:,} bytes".encode()
        connection.send_bytes(content)
