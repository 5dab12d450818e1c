"""Runs whose target is behind a server."""

from __future__ import annotations

import sys

import pytest

from testbed.config.yaml_loader import dump_yaml
from testbed.emulation.sandbox import run_in_sandbox
from testbed.errors import TestbedError
from testbed.experiment import preparation
from testbed.experiment.preparation import prepare
from testbed.models import load
from testbed.models.load import load_model, open_text
from testbed.models.spec import ServedSpec
from testbed.models.synthetic import SyntheticModel
from testbed.scenario.load import check_scenario, load_scenario
from tests.emulation.inside import need_sandbox
from tests.models.tiny import FAMILIES, IDS, save
from tests.support.served import Stub, serve
from tests.support.whole_run import SYNTHETIC


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Keys of the models, of which the target is on a server, and the server."""
    monkeypatch.setattr(preparation, "with_trial", lambda spec: spec)
    folder = str(save(FAMILIES["llama"](), tmp_path / "tiny"))
    stub = Stub(SyntheticModel(IDS, 0.8, seed=1, role="target"))
    with serve(stub, tmp_path / "s.sock") as address:
        stub.encode = lambda text: [0] * len(text.split())  # as the tiny tokenizer, without words
        yield {"target": {"served": address, "model": folder}, "draft": folder}, stub


def plan(models, by="relay", **changes):
    base = {**SYNTHETIC, "methods": ["dsd"], "prompts": ["w5 w6"], "models": models}
    (point,) = check_scenario({**base, **changes}, "s.yaml").every_point()
    return prepare(point, by)


def refusal(models, **changes) -> str:
    with pytest.raises(TestbedError) as caught:
        plan(models, **changes)
    return str(caught.value)


def test_a_plan_names_the_server(served):
    models, _ = served
    made = plan(models)
    assert isinstance(made.target, ServedSpec)
    assert (made.target.address, made.target.name) == tuple(models["target"].values())
    assert made.prompts == ["5 6"]
    assert made.warnings == [
        f"target '{models['draft']}' runs on a server, whose rounding depends on what else it "
        "computes: texts follow its distribution up to that, and a pass lasts as long as its "
        "request"
    ]
    model = load_model(made.target, "target")
    assert model is open_text(made.target)
    assert model.session().extend([1]).shape == (1, IDS)


def test_a_simulation_reaches_ports_and_a_network_does_not(served):
    models, stub = served
    with serve(stub) as address:
        models["target"]["served"] = address
        assert plan(models, "simulated").target.address == address
        assert refusal(models) == (
            f"s.yaml: models.target.served: {address} is not on the emulated network; give a Unix "
            "socket, unix:/path/to/socket"
        )


def test_a_server_that_does_not_fit_is_refused_before_the_run(served):
    models, stub = served
    stub.cards[0]["max_model_len"] = 40
    assert "make 66 tokens, but model" in refusal(models)
    load._open_served.cache_clear()
    stub.most_logprobs = 20
    where = f"s.yaml: models: {models['target']['served']}/v1/completions: a row lacks"
    assert refusal(models).startswith(where)


@pytest.mark.parametrize(
    ("role", "keys", "sentence"),
    [
        ("target", {"dtype": "fp32"}, "models.target: the server decides how it runs the model; "
         "give no keys but served and model"),
        ("target", {"device": "cuda"}, "models.target: the server decides how it runs the model; "
         "give no keys but served and model"),
        ("draft", {}, "models.draft.served: unknown key; allowed are model, dtype, "
         "without_layers, threads, device"),
    ],
)  # fmt: skip
def test_keys_that_a_server_cannot_follow_are_refused(role, keys, sentence):
    models = {"target": "t", "draft": "d"}
    models[role] = {"served": "unix:/s", "model": "t", **keys}
    assert refusal(models) == f"s.yaml: {sentence}"


def test_the_address_is_checked_and_relative_to_the_scenario(tmp_path):
    path = tmp_path / "s.yaml"
    target = {"served": "unix:run/s.sock", "model": "m/m"}
    path.write_text(dump_yaml({**SYNTHETIC, "models": {"target": target, "draft": "d/d"}}))
    assert load_scenario(path).spec.models.target.served == f"unix:{tmp_path}/run/s.sock"
    assert refusal({"target": {**target, "served": "run/s.sock"}, "draft": "d/d"}) == (
        "s.yaml: models.target.served: 'run/s.sock' is not the address of a server; allowed are "
        "unix:/path/to/socket and http://host:port"
    )


@pytest.mark.emulation
def test_a_socket_is_reached_from_the_namespaces_of_nodes(tmp_path, capfd):
    need_sandbox()
    stub = Stub(SyntheticModel(5, 0.8, seed=1, role="target"))
    program = (
        "import sys; from testbed.emulation import sandbox; sandbox.enter(); "
        "from testbed.models.served.completions import Server; "
        "print(Server(sys.argv[1]).rows([[1, 2]], 5).shape)"
    )
    with serve(stub, tmp_path / "s.sock") as address:
        assert run_in_sandbox([sys.executable, "-c", program, address]) == 0
    assert "(1, 5)" in capfd.readouterr().out
    assert [request["prompt"] for request in stub.requests] == [[[1, 2]]]
