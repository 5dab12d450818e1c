"""Rendering of chat templates in a child process with limited time and memory.

A chat template is a program written by the maker of a model. Jinja's sandbox denies it everything
but time and memory; limits of the child process bound these two, and end it when it exceeds them.
"""

from __future__ import annotations

import importlib
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError, first_line

SECONDS = 5
"""CPU seconds allowed for one turn; rendering normally takes milliseconds."""
MEMORY = 1 << 30
"""Bytes that the child may allocate in addition to those it starts with."""
_LONGEST = 1 << 26  # bytes of a rendered turn
_STATM = Path("/proc/self/statm")
_PATIENCE = 60.0  # seconds to wait for a child that uses no CPU time


class TemplateFailedError(Exception):
    """A template failed to render; the message gives the reason."""


class ChatTemplate:
    """The chat template of a model; errors name the model, and what to do."""

    def __init__(self, name: str, render: Callable[[str], str] | None) -> None:
        """`render` makes a turn of a prompt; None if the model `name` has no template."""
        self._name = name
        self._rendered = render and Renderer(render)

    def turn(self, prompt: str) -> str:
        """Return a user's turn with `prompt`, up to where the answer begins.

        Raises TestbedError when the model has no chat template, or it fails.
        """
        if self._rendered is None:
            raise TestbedError(
                f"model '{self._name}' has no chat template; leave chat out, or take a model that "
                "was tuned for chat"
            )
        try:
            return self._rendered(prompt)
        except TemplateFailedError as error:
            raise TestbedError(
                f"model '{self._name}' has a chat template that fails ({first_line(error)})"
            ) from error


class Renderer:
    """Calls `render` for prompts in a child process, which starts with the first prompt.

    One child renders all prompts, because forking a process that holds a model's tables takes
    longer than rendering.
    """

    def __init__(self, render: Callable[[str], str]) -> None:
        self._render = render
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __call__(self, prompt: str) -> str:
        """Return the rendered turn. Raises TemplateFailedError when rendering fails."""
        connection = self._connection or self._start()
        try:
            connection.send_bytes(prompt.encode("utf-8", "surrogatepass"))
            if not connection.poll(_PATIENCE):
                raise TemplateFailedError(self._end(f"it was silent for {_PATIENCE:.0f} s"))
            answer = connection.recv_bytes().decode("utf-8", "surrogatepass")
        except (EOFError, OSError):
            raise TemplateFailedError(self._end("its process died")) from None
        except KeyboardInterrupt:
            self._end("")  # otherwise the next prompt would get the answer to this one
            raise
        if answer[0] == "-":
            raise TemplateFailedError(answer[1:])
        return answer[1:]

    def _start(self) -> Connection:
        if not (_resource() and _STATM.exists()):
            raise TemplateFailedError("this system has no limits for the process that renders it")
        forked = multiprocessing.get_context("fork")
        self._connection, theirs = forked.Pipe()
        self._process = forked.Process(
            target=_serve, args=(self._render, theirs, self._connection), daemon=True
        )
        with warnings.catch_warnings():
            # Warns of forking with threads: the child renders only and uses no other threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()
        return self._connection

    def _end(self, reason: str) -> str:
        """End the child and return why rendering failed: the time limit, or else `reason`."""
        assert self._process is not None
        assert self._connection is not None
        self._connection.close()
        self._process.join(1)  # a child that closed its end is about to exit
        code = self._process.exitcode
        self._process.kill()
        self._process.join()
        self._process = self._connection = None
        return f"it computed for {SECONDS} s" if code == -signal.SIGXCPU else reason


def _resource() -> Any:
    """Return the module that limits a process; None where the system has none."""
    try:
        return importlib.import_module("resource")
    except ImportError:
        return None


def _limit(resource: Any, what: int, most: int) -> None:
    """Set a resource limit of this process, at most its hard limit."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _serve(render: Callable[[str], str], connection: Connection, theirs: Connection) -> None:
    """Answer prompts until the connection closes: "+" and the turn, or "-" and the error."""
    theirs.close()
    resource = _resource()
    size = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    _limit(resource, resource.RLIMIT_AS, size + MEMORY)
    _limit(resource, resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent handles it
    while True:
        try:
            prompt = connection.recv_bytes().decode("utf-8", "surrogatepass")
        except (EOFError, OSError):
            return
        _limit(resource, resource.RLIMIT_CPU, int(time.process_time()) + 1 + SECONDS)
        try:
            answer = f"+{render(prompt)}"
        except Exception as error:  # whatever a template may raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            answer = f"-{lines[0]}"
        content = answer.encode("utf-8", "surrogatepass")
        if len(content) > _LONGEST:
            content = f"-it writes more than {_LONGEST:,} bytes".encode()
        connection.send_bytes(content)
