"""One network with its nodes: built, measured and started; watched during runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

import msgspec

from testbed import clock
from testbed.audit.base import judge
from testbed.audit.evidence import NetworkEvidence
from testbed.calibration.preflight import check_links
from testbed.emulation.network import Network
from testbed.experiment.node_process import NodeProcess, checked, receive_any
from testbed.experiment.routes import Routes
from testbed.models.spec import ModelSpec, Role, ServedSpec, SyntheticSpec
from testbed.models.weights import on_disk
from testbed.protocol.control import NodeReport, Ready
from testbed.protocol.messages import PORT
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.results.verdict import Verdict
from testbed.scenario.scenario import Scenario
from testbed.topology.declarations import load_topology

_LOADING = 300.0  # seconds a node may take to load its model, besides reading its files
_SLOW_DISK = 2e7  # bytes/s


def network_of(scenario: Scenario, backend: str) -> Network:
    """Return the network that a scenario describes, not yet built."""
    return Network(
        load_topology(scenario.spec.topology, scenario.spec.devices),
        scenario.links,
        backend,
        scenario.spec.seed,
        schedules=scenario.schedules,
        handovers=scenario.handovers,
        congestion_control=scenario.spec.tcp.congestion_control,
    )


class Deployment:
    """A running network with its nodes, for all runs at one point; a context manager.

    While it runs, this process's clock has the scenario's dilation.
    """

    def __init__(self, scenario: Scenario, plan: Plan, results: Results) -> None:
        self.scenario, self.plan, self.results = scenario, plan, results
        self.routes = Routes(scenario)
        self.network = network_of(scenario, plan.backend)
        self.nodes: dict[str, NodeProcess] = {}
        self.before = Verdict()
        """The verdict on the links, which are measured before the nodes are started."""
        self.too_slow = False
        """True once a generation was late even after its last re-decoding.

        False again after a generation that was not late."""
        self._stack = ExitStack()

    def __enter__(self) -> Deployment:
        with ExitStack() as stack:
            stack.callback(clock.set_dilation, 1.0)
            clock.set_dilation(self.scenario.spec.time_dilation)
            stack.enter_context(self.network)
            # Measure links before the nodes use the processors.
            links = check_links(self.network)
            self.before = judge(NetworkEvidence(links))
            self.before.links = links
            self._start_nodes(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def report(self, nodes: Iterable[NodeProcess]) -> tuple[NodeProcess, NodeReport]:
        """Return the next report of any of some nodes, and the node.

        Raises TestbedError when anything the run depends on dies, or all of them are silent.
        """
        # A node itself gives up after `timeout` of silence; this is for a node that hangs.
        return receive_any(list(nodes), clock.real(self.scenario.timeout) + 30, self._watch)

    def _watch(self) -> None:
        """Raise TestbedError when anything the run depends on is dead."""
        for node in self.nodes.values():
            node.check()
        for wire in self.network.wires.values():
            wire.check()
        self.network.handovers.check()

    def _start_nodes(self, stack: ExitStack) -> None:
        verifier = self.scenario.spec.verifier
        common = [f"--timeout={self.scenario.timeout}", f"--time-dilation={clock.dilation()}"]
        uses_verifier = any(entry.uses_verifier for entry in self.scenario.methods)
        for device in self.routes.own_links:
            arguments = [f"--name={device}", *self._model("draft"), *common]
            if uses_verifier:
                address = self.network.address(verifier, device)
                links = " or ".join(self.routes.first_shaped(device))
                arguments += [
                    f"--connect=tcp://{address}:{PORT}",
                    f"--peer={verifier} over link {links}",
                ]
            self._start_node(stack, device, "nodes.device", arguments)
        if uses_verifier:
            arguments = [*self._model("target"), *common, f"--listen=tcp://*:{PORT}"]
            self._start_node(stack, verifier, f"nodes.{verifier}", arguments)
        for name, node in self.nodes.items():
            spec = self.plan.target if name == verifier else self.plan.draft
            checked(node, node.receive(longest_loading(spec), self._watch), Ready)

    def _model(self, role: Role) -> list[str]:
        """Return the arguments that set the model of a node, and its pace if it has one."""
        spec = self.plan.draft if role == "draft" else self.plan.target
        arguments = [f"--model={msgspec.json.encode(spec).decode()}"]
        if role in self.scenario.paces:
            pace = msgspec.json.encode(self.scenario.paces[role])
            arguments.append(f"--pace={pace.decode()}")
        return arguments

    def _start_node(self, stack: ExitStack, name: str, module: str, arguments: list[str]) -> None:
        log = self.results.log(name, self.plan.point)
        node = NodeProcess(name, module, arguments, log, partial(self.network.popen, name))
        stack.callback(node.stop)
        self.nodes[name] = node


def longest_loading(spec: ModelSpec) -> float:
    """Return the seconds that a node may take to load a model."""
    if isinstance(spec, SyntheticSpec | ServedSpec):
        return _LOADING
    return _LOADING + on_disk(spec) / _SLOW_DISK
