"""TCP of hosts: congestion control and sysctls are those asked for, not those of the machine."""

from __future__ import annotations

import errno
import json
import re
import socket
import time

import pytest

from testbed import clock
from testbed.emulation import congestion_control
from testbed.emulation.congestion_control import require_offered, why_not_offered
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.host_sysctls import HOST_SYSCTLS, NEWER_SYSCTLS, set_host_sysctls
from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import probe_netem
from testbed.emulation.network import Network
from testbed.emulation.route_metrics import RouteMetrics
from testbed.errors import TestbedError
from testbed.links.handovers import Handover
from testbed.topology.declarations import load_topology
from tests.emulation.inside import connection, inside_sandbox, symmetric
from tests.support.whole_run import results, run, write

RENO = RouteMetrics("reno")
UNKNOWN = "nobodys"  # no kernel has a congestion control of this name


@pytest.fixture
def five():
    """Set a dilation of 5 during a test."""
    clock.set_dilation(5.0)
    yield
    clock.set_dilation(1.0)


def required(metrics: list[dict]) -> None:
    RENO.require({"dst": "10.0.0.0/24", "metrics": metrics}, "host")


def test_a_route_that_lacks_the_congestion_control_is_refused():
    assert RENO.words() == ["congctl", "reno"]
    required([{"congestion": "reno"}])
    for metrics in ([], [{"congestion": "cubic"}], [{"rto_min": 200}]):
        with pytest.raises(
            TestbedError, match=r"^host: the route to 10.0.0.0/24 has .* where congctl reno was"
        ):
            required(metrics)


def test_a_route_that_lacks_the_dilated_time_out_is_refused(five):
    assert RENO.words() == ["rto_min", "1000ms", "congctl", "reno"]
    required([{"rto_min": 1000, "congestion": "reno"}])
    for metrics in ([{"congestion": "reno"}], [{"rto_min": 200, "congestion": "reno"}]):
        with pytest.raises(
            TestbedError, match=r"^host: the route to 10.0.0.0/24 has .* rto_min 1000ms was"
        ):
            required(metrics)


class Kernel:
    """Sockets of a kernel that answers with an error."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None: ...

    def setsockopt(self, *_: object) -> None:
        raise OSError(self._number, "")


@pytest.mark.parametrize(
    ("user", "remedy"), [(0, ""), (1000, ", or try `modprobe tcp_vegas` as root")]
)
def test_one_that_the_kernel_lacks_is_named_beside_those_it_offers(
    monkeypatch, tmp_path, user, remedy
):
    offered = tmp_path / "offered"
    offered.write_text("reno bbr\n")
    monkeypatch.setattr(congestion_control, "_OFFERED", offered)
    monkeypatch.setattr(congestion_control.os, "geteuid", lambda: user)
    monkeypatch.setattr(congestion_control.socket, "socket", Kernel(errno.ENOENT))
    with pytest.raises(TestbedError) as caught:
        require_offered("vegas", "host device", "s.yaml: ")
    assert str(caught.value) == (
        "s.yaml: tcp.congestion_control: host device cannot use 'vegas': this kernel offers "
        f"reno, bbr; choose one of these{remedy}"
    )


def test_one_that_is_not_for_every_user_is_offered_all_the_same(monkeypatch):
    monkeypatch.setattr(congestion_control.socket, "socket", Kernel(errno.EPERM))
    assert why_not_offered("vegas") == ""


class Host(Namespace):
    """A host of a kernel that lacks some sysctls."""

    def run(self, argv):
        program, option, *words = argv
        assert (program, words) != ("sysctl", [])
        if option == "-q":
            VALUES.update(word.split("=") for word in words[1:])
            return ""
        return "".join(f"{key} = {VALUES[key]}\n" for key in words if key in VALUES)


VALUES: dict[str, str] = {}


def test_what_a_kernel_lacks_is_left_alone_only_where_older_ones_lack_it():
    VALUES.clear()
    VALUES["net.ipv4.tcp_rto_min_us"] = "5000"
    set_host_sysctls(Host("device", 1))
    assert VALUES == {**HOST_SYSCTLS, "net.ipv4.tcp_rto_min_us": "200000"}
    assert "net.ipv4.tcp_pingpong_thresh" in NEWER_SYSCTLS


def test_a_sysctl_that_does_not_take_its_value_is_refused(monkeypatch):
    def stuck(_host, keys):
        return dict.fromkeys(keys, "7")

    monkeypatch.setattr(Host, "sysctls", stuck)
    with pytest.raises(TestbedError, match=r"^net\.\S+ is 7 in device after it was set to 1$"):
        set_host_sysctls(Host("device", 1))


def controls(network: Network, host: str) -> list[str]:
    """Return the congestion control of each connection of a host, as the kernel has it."""
    lines = network.inside(host).run(["ss", "-tinH"]).splitlines()
    return [line.split()[0] for line in lines if re.search(r"\brto:\d", line)]


def backends() -> list[str]:
    """Return the relay, and what takes frames out of this kernel or shapes them in it."""
    return ["relay", "netem" if probe_netem().available else "guest netem"]


@inside_sandbox
@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_both_ends_of_every_connection_have_it_whatever_carries_it(name):
    for backend in backends():
        if backend == "guest netem" and guest_missing():
            continue
        edge = load_topology("edge")
        links = {"radio": symmetric(delay=0.002)}
        with Network(edge, links, backend, 1, congestion_control=name) as network:
            ends = connection(network, "device", "base_station")
            for host in ("device", "base_station"):
                assert controls(network, host) == [name]
            asked = [
                end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
                for end in ends
            ]
            assert asked == [name.encode()] * 2
            state = json.loads(json.dumps(network.state()))
            assert state["congestion_control"] == name
            for host in state["hosts"].values():
                assert all({"congestion": name} in route["metrics"] for route in host["routes"])
                wanted = HOST_SYSCTLS | NEWER_SYSCTLS
                assert {key: host["sysctls"][key] or wanted[key] for key in wanted} == wanted
            for end in ends:
                end.close()


@inside_sandbox
def test_the_routes_of_a_handover_have_it_too():
    links = dict.fromkeys(("radio", "radio_2", "between"), symmetric(delay=0.002))
    plan = [Handover(0.05, "radio_2")]
    topology = load_topology("handover")
    with Network(topology, links, "relay", 1, handovers=plan, congestion_control="reno") as network:
        network.handovers.begin(clock.now())
        time.sleep(0.3)
        network.handovers.end()
        ends = connection(network, "device", "base_station")
        for host in ("device", "base_station"):
            assert controls(network, host) == ["reno"]
        for end in ends:
            end.close()


@inside_sandbox
def test_one_that_the_kernel_lacks_ends_the_start_of_the_network():
    links = {"radio": symmetric()}
    network = Network(load_topology("edge"), links, "relay", 1, congestion_control=UNKNOWN)
    with pytest.raises(
        TestbedError,
        match=rf"^tcp.congestion_control: host base_station cannot use '{UNKNOWN}': this kernel "
        "offers [a-z0-9_, ]+; choose one of these",
    ):
        network.start()


@pytest.mark.emulation
def test_a_run_with_one_that_the_kernel_lacks_ends_in_one_sentence_and_leaves_nothing(tmp_path):
    scenario = write(tmp_path, tcp={"congestion_control": UNKNOWN}, backend="relay")
    done = run(scenario, code=1)
    assert re.fullmatch(
        rf"error: {scenario}: tcp.congestion_control: the hosts cannot use '{UNKNOWN}': .*\n",
        done.stderr,
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.emulation
def test_a_sweep_has_a_network_with_each(tmp_path):
    names = ["cubic", "reno"]
    scenario = write(
        tmp_path, methods=["dssd"], sweep={"tcp.congestion_control": names}, backend="relay",
        decoding={"temperature": 1.0, "max_new_tokens": 4},
    )  # fmt: skip
    run(scenario)
    found = results(scenario)
    assert [row.point for row in found.summary().rows] == [
        {"tcp.congestion_control": name} for name in names
    ]
    environment = json.loads((found.path / "environment.json").read_bytes())
    for when in ("before", "after"):
        states = [network[when] for network in environment["networks"]]
        assert [state["congestion_control"] for state in states] == names
