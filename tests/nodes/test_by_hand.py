"""The node programs, started by hand on the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys

import pytest

import nodes.verifier
from testbed.errors import TestbedError
from tests.transport.test_zmq import free_port

pytestmark = pytest.mark.slow
SYNTHETIC = '{"type":"synthetic","vocabulary_size":1000,"acceptance":0.8}'


def node(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"nodes.{name}", "--model", SYNTHETIC, *arguments]


@contextlib.contextmanager
def verifier(name: str, port: int, host: str = "127.0.0.1"):
    listen = f"tcp://{host}:{port}"
    process = subprocess.Popen(node(name, "--listen", listen), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == f"{name}: synthetic at {listen}; Ctrl-C ends it\n"
        yield listen
    finally:
        process.terminate()
        process.communicate()


def device(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        node("device", *arguments), check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("place", "host"), [("base_station", "127.0.0.1"), ("cloud", "[::1]")])
def test_a_device_and_a_verifier_in_two_shells(place, host):
    if host == "[::1]" and not has_ipv6():
        pytest.skip("there is no IPv6")
    with verifier(place, free_port(), host) as listen:
        texts = [
            device("--connect", listen, "--method", method, "--option", "target_precision=fixed16",
                   "--prompt", "hello", "--max-new-tokens", "20").stdout
            for method in ("dsd", "dssd")
        ]  # fmt: skip
    words = [text.split("\n")[0] for text in texts]
    assert words[0] == words[1]
    assert words[0].startswith("hello⟨")
    assert words[0].count("⟨") == 20
    assert all("20 tokens in" in text and "drafts accepted" in text for text in texts)


def test_devices_called_alike_do_not_disturb_each_other():
    with verifier("base_station", free_port()) as listen:
        command = node(
            "device", "--connect", listen, "--prompt", "x", "--max-new-tokens", "1500",
            "--timeout", "5",
        )  # fmt: skip
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        outputs = [process.communicate()[0].split("\n")[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]


def test_an_error_begins_a_line_of_its_own():
    """Join both streams, as a terminal does: the error starts on a line of its own."""
    command = node(
        "device", "--method", "device_only", "--prompt", "hello", "--max-new-tokens", "10000000"
    )
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.stdout.startswith("hello\nerror: prompt and max_new_tokens")


def test_a_method_without_a_verifier_needs_none():
    assert device("--method", "device_only", "--prompt", "hello").stdout.startswith("hello⟨")


@pytest.mark.parametrize(
    ("arguments", "complaint", "code"),
    [
        (["--prompt", "x"], "--connect: dssd needs a verifier", 1),
        (["--connect", "tcp://127.0.0.1:1"], "--prompt: give a text to continue", 1),
        (["--connect", "foo", "--prompt", "x"], "write it as tcp://host:port", 1),
        (["--connect", "tcp://::1:1", "--prompt", "x"], "an IPv6 address in brackets", 1),
        (
            ["--connect", "tcp://127.0.0.1:1", "--prompt", "x", "--timeout", "0.2"],
            "within 0.2 s",
            1,
        ),
        (["--prompt", "x", "--method", "foo"], "choose from cloud_ar", 1),
        (
            ["--prompt", "x", "--method", "device_only", "--temperature", "-1"],
            "temperature is -1.0",
            1,
        ),
        (["--prompt", "x", "--method", "device_only", "--option", "a"], "write it as KEY=VALUE", 1),
        (["--prompt", "x", "--method", "device_only", "--option", "a=["], "--option a=[", 1),
        (["--prompt", "x", "--timeout", "-1"], "-1 is not above 0", 2),
        (["--prompt", "x", "--max-new-tokens", "0"], "0 is not 1 or more", 2),
        (["--prompt", "x", "--seed", str(2**63)], "more than 64 bits", 2),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, complaint, code):
    assert complaint in device(*arguments, code=code).stderr


@pytest.mark.parametrize(
    ("endpoint", "within"),
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.8.8:*", True),
        ("tcp://[::1]:5555", True),
        ("ipc:///tmp/verifier", True),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://192.0.2.1:5555", False),
        ("tcp://localhost:5555", False),  # whatever that is here
        ("tcp://eth0:5555", False),
        ("tcp://127.0.0.1:5555:1", False),
        ("tcp://::1:5555", False),
        ("tipc://{1,2}", False),
        ("", False),
    ],
)
def test_a_verifier_by_hand_stays_within_this_machine(endpoint, within, monkeypatch):
    def loaded(*arguments):
        raise LookupError

    monkeypatch.setattr(nodes.verifier, "load_warm", loaded)

    def listen(*more: str) -> None:
        command = ["cloud", "--model", SYNTHETIC, "--listen", endpoint, *more]
        monkeypatch.setattr(sys, "argv", command)
        nodes.verifier.main("cloud", None)

    with pytest.raises(LookupError if within else TestbedError) as refused:
        listen()
    if not within:
        assert str(refused.value) == (
            f"--listen {endpoint}: anyone who reaches this port can use the model, and read and "
            "disturb others' generations, as there are no keys yet; listen on "
            "tcp://127.0.0.1:5555, or add --insecure in a network that you trust"
        )
    for allowed in "--insecure", "--control":
        with pytest.raises(LookupError):
            listen(allowed)


def test_a_verifier_by_hand_listens_on_loopback_unless_told(monkeypatch):
    def bind(server, endpoint, timeout):
        raise LookupError(endpoint)

    monkeypatch.setattr(nodes.verifier, "load_warm", lambda *arguments: None)
    monkeypatch.setattr(nodes.verifier, "ZmqVerifier", bind)
    monkeypatch.setattr(sys, "argv", ["cloud", "--model", SYNTHETIC])
    with pytest.raises(LookupError, match=r"^tcp://127\.0\.0\.1:5555$"):
        nodes.verifier.main("cloud", None)


def test_a_port_in_use_is_one_sentence():
    with verifier("base_station", free_port()) as listen:
        second = subprocess.run(
            node("cloud", "--listen", listen), check=False, capture_output=True, text=True
        )
    assert second.returncode == 1
    assert second.stderr.startswith(f"error: --listen {listen}: Address already in use")
    assert len(second.stderr.splitlines()) == 1
