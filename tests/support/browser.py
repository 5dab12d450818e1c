"""A headless Chromium, driven over its DevTools pipe; it needs no other package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
KEYS = {"Enter": {"text": "\r", "windowsVirtualKeyCode": 13}, "Tab": {"windowsVirtualKeyCode": 9}}


def find_browser() -> str | None:
    """Return the path of the program; None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab. Whatever goes wrong in it is kept in `complaints`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self._number = 0
        self._buffer = b""
        self._session = ""
        self._events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, width: int, *, dark: bool = False) -> None:
        """Show a file in a window so wide."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self._call("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **KEYS[key])

    def screenshot(self, path: Path) -> None:
        """All of the page as it is shown."""
        width, height = self.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def printed(self, path: Path) -> None:
        """Write the page as PDF."""
        made = self._call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(made["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings since the page was opened, loads refused by policies included."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for event in self._events if event["method"] in kinds]

    @property
    def requests(self) -> list[str]:
        """The URLs that the page requested, except those that it contains itself."""
        asked = [event for event in self._events if event["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in asked]
        return [url for url in urls if not url.startswith("data:")]

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self._call("Browser.close")
        self._to.close()
        self._from.close()

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._receive()).get("id") != self._number:
            self._events.append(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = self._from.read1(1 << 20)
            assert read, "the browser ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browse(folder: Path) -> Iterator[Page]:
    """Start a browser that keeps its files in a folder; yield its page."""
    program = find_browser()
    assert program
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    command = [
        program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={folder}",
        "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-extensions", "--hide-scrollbars",
    ]  # fmt: skip
    # It reads from its descriptor 3 and writes to 4, which may be other ends of our own.
    shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]
    process = subprocess.Popen(
        ["bash", "-c", shell, *map(str, ends), *command],
        pass_fds=ends, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (commands, answers, *ends):
        os.close(end)
    try:
        page = Page(to_browser, from_browser)
        yield page
        page.close()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
