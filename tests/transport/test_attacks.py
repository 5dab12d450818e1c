"""Attacks on the verifier's port: nothing that one peer does affects an honest one beside it.

Each attack runs against a node of its own program. The honest device's answers must come no later
than one target pass (the attacker's) and 50 ms after what they take alone. Alone and under attack
are measured in turns, and of a few tries the best counts: a busy machine delays some answers, and a
verifier that stalls delays all of them, by seconds.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import msgspec
import pytest

from testbed import clock
from testbed.events import Tracer
from testbed.models.compute.pace import Pace
from testbed.protocol.channel import LinkTimeout
from testbed.protocol.process_driver import generate
from testbed.transport.zmq_client import ZmqChannel
from tests.support.toy import PROMPT, task
from tests.transport import attacks
from tests.transport.attacked import SOON
from tests.transport.attacks import DRAFT, SPEC, under
from tests.transport.nat import Nat
from tests.transport.test_zmq import free_port

pytestmark = pytest.mark.emulation
PACE = Pace(per_pass=0.05, per_token=1e-4)
LEEWAY = PACE.seconds(5) + 0.05
"""Seconds for a pass over four drafts and the token before them, and for scheduling."""
TRIES = 5
MODEL = msgspec.json.encode(SPEC).decode()
TASK = task("dsd", 24)


@dataclass
class Verifier:
    """A process under attack."""

    port: int
    process: subprocess.Popen

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def verifier(without: str = "nothing"):
    """Run a paced verifier, without one of its cures."""
    port = free_port()
    command = [
        sys.executable, "-m", "tests.transport.attacked", without,
        "--model", MODEL, "--listen", f"tcp://127.0.0.1:{port}",
        "--pace", msgspec.json.encode(PACE).decode(), "--timeout", "5",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert "Ctrl-C ends it" in process.stdout.readline()
        yield Verifier(port, process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def attacked():
    with verifier() as each:
        yield each
        time.sleep(3 * SOON)
        assert each.alive


class Timed(ZmqChannel):
    """A channel that measures its longest answer."""

    asked = worst = 0.0

    def send(self, frames):
        self.asked = clock.now()
        super().send(frames)

    def receive(self, timeout):
        answer = super().receive(timeout)
        self.worst = max(self.worst, clock.now() - self.asked)
        return answer


def honest_text(port: int, timeout: float = 60) -> tuple[list[int], float]:
    """Return the tokens of an honest device, and the seconds that its longest answer took."""
    channel = Timed(f"tcp://127.0.0.1:{port}", "honest", "verifier", timeout)
    with contextlib.closing(channel):
        text = generate(TASK, PROMPT, DRAFT, channel, timeout=timeout, trace=Tracer("device"))
    return text.tokens, channel.worst


def device(port: int) -> subprocess.Popen:
    """Start nodes.device by hand."""
    command = [
        sys.executable, "-m", "nodes.device", "--model", MODEL,
        "--connect", f"tcp://127.0.0.1:{port}", "--prompt", "hello", "--max-new-tokens", "40",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def text(process: subprocess.Popen) -> str:
    """Return the text that a device prints."""
    return process.communicate()[0].split("\n")[0]


@functools.cache
def usual(port: int) -> str:
    """Return the text that a device prints without a NAT."""
    return text(device(port))


def be_forgotten(port: int, stack: contextlib.ExitStack) -> subprocess.Popen:
    """Deliver late bytes, then end a connection that a newer one has replaced. F1 b."""
    nat = Nat(port, forgets_after=500)
    process = device(stack.enter_context(nat.listening()))
    stack.callback(process.kill)
    while not nat.delivered:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def be_forgotten_and_go_on(port: int, stack: contextlib.ExitStack) -> None:
    """Do the same, and compare the text with that without a NAT."""
    assert usual(port).count("⟨") == 40

    def finish() -> None:
        assert text(process) == usual(port)

    process = be_forgotten(port, stack)
    stack.callback(finish)


ATTACKS = [
    attacks.take_over,
    be_forgotten_and_go_on,
    attacks.flood_and_ping,
    attacks.be_deaf,
    attacks.be_deaf_and_alive,
    attacks.fail,
    attacks.overgrow,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_honest_device_does_not_notice(attacked, attack):
    delays = []
    for _ in range(TRIES):
        alone, longest_alone = honest_text(attacked.port)
        with under(attack, attacked.port):
            beside, longest = honest_text(attacked.port)
        assert attacked.alive
        assert beside == alone
        delays.append(longest - longest_alone)
        if delays[-1] <= LEEWAY:
            return
    pytest.fail(f"answers came later by {delays} s")


@pytest.mark.parametrize(
    ("without", "attack", "end"),
    [
        ("heartbeats", attacks.take_over, -signal.SIGABRT),
        ("heartbeats", be_forgotten, -signal.SIGABRT),
        ("queue", attacks.flood_and_ping, -signal.SIGABRT),
        ("failure", attacks.fail, 1),
    ],
)
def test_without_its_cure_the_verifier_ends(without, attack, end):
    with verifier(without) as attacked, contextlib.ExitStack() as stack:
        while attacked.alive:
            with contextlib.suppress(OSError, AssertionError):
                attack(attacked.port, stack)
            with contextlib.suppress(subprocess.TimeoutExpired):
                attacked.process.wait(1)
        assert attacked.process.returncode == end


@pytest.mark.parametrize(
    ("without", "attack"), [("room", attacks.be_deaf), ("limit", attacks.overgrow)]
)
def test_without_its_cure_the_verifier_stalls(monkeypatch, without, attack):
    monkeypatch.setattr(attacks, "patience", 2)
    with verifier(without) as attacked, contextlib.ExitStack() as stack:
        with pytest.raises((LinkTimeout, OSError)):
            attack(attacked.port, stack)
            while True:  # a slow one is longer busy with filling its queue
                honest_text(attacked.port, timeout=2)
        assert attacked.alive
