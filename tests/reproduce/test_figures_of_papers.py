"""What is printed in the papers, as the reproductions have it, against the papers' own formulas."""

import importlib

import numpy as np
import pytest

from testbed.decoding.bit_counts import tk_slt_bits
from testbed.decoding.sampling import Sampling
from testbed.decoding.theory import expected_tokens, relative_cost
from testbed.drafting.qs_dqn import RESOLUTIONS
from testbed.events import Tracer
from testbed.models.synthetic import SyntheticModel
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.scenario.load import load_scenario
from testbed.transport.in_process import InProcessChannel
from tests.support.records import row


@pytest.fixture(scope="module")
def paper():
    return importlib.import_module("dssd_paper")


@pytest.fixture(scope="module")
def dssd():
    return importlib.import_module("dssd")


@pytest.fixture(scope="module")
def tkslt():
    return importlib.import_module("tkslt")


@pytest.fixture(scope="module")
def qs():
    return importlib.import_module("qs")


def test_dssd_table_2_is_explained_by_31_and_46_rounds_but_for_what_is_named(paper):
    unexplained = []
    for line in paper.TABLE_2:
        for column in paper.COLUMNS:
            printed = column.printed(line).com
            formula = paper.printed_com(column.method, column.pair.rounds, line.link, line.gamma)
            if abs(formula - printed) > 0.05 * printed:
                unexplained.append((column.name, line.link, line.gamma))
    assert unexplained == [
        ("DSSD 6.7B", (0, 100), 8),
        ("DSSD 13B", (0, 100), 8),
        ("DSSD 13B", (20, 100), 8),
        ("DSD 6.7B", (50, 10), 6),
        ("DSSD 6.7B", (50, 10), 6),
        ("DSSD 13B", (50, 10), 6),
    ]


def test_dssd_last_row_of_table_2_is_that_of_8_rounds(paper):
    line = paper.TABLE_2[-1]
    for method, printed in (("dsd", line.dsd), ("dssd", line.small)):
        assert paper.printed_com(method, 8, line.link, line.gamma) == pytest.approx(
            printed.com, abs=0.005
        )
    assert 8 * (line.gamma + 1) < paper.TOKENS


def test_dssd_table_1_charges_8_ms_for_p(paper):
    assert paper.charged_com(0.0, 1, (20, 100), 2) == pytest.approx(28.04e-3, rel=1e-3)
    assert paper.charged_com(1.0, 1, (20, 100), 2) == pytest.approx(20e-3)


def test_dssd_rounds_imply_other_acceptances_than_stated(paper):
    for pair, implied in ((paper.SMALL, 0.785), (paper.LARGE, 0.648)):
        assert pair.implied_alpha == pytest.approx(implied, abs=1e-3)
        assert paper.rounds_at(pair, 8) == pytest.approx(pair.rounds)
        assert paper.TOKENS / expected_tokens(pair.alpha, 8) > 1.3 * pair.rounds


def test_dssd_speed_up_counts_drafts_rounds_and_the_link(paper):
    # 128 tokens alone take 12.8 s; 10 rounds with 80 drafts and 1 s on the link take 2.8 s.
    assert paper.speed_up(10, 80, 1.0, verify=0.1, cost=0.1) == pytest.approx(12.8 / 2.8)
    for pair in (paper.SMALL, paper.LARGE):
        verify = paper.fitted_verify(pair)
        assert 0.1 < verify < 0.25
        assert 0.1 < paper.fitted_cost(pair, verify) < 0.5


@pytest.mark.parametrize(
    ("pair", "method"), [("SMALL", "dsd"), ("SMALL", "dssd"), ("LARGE", "dssd")]
)
def test_dssd_texts_take_the_rounds_of_table_2(dssd, pair, method):
    pair = getattr(dssd, pair)
    target, draft = (
        SyntheticModel(dssd.VOCABULARY, pair.implied_alpha, 0, role=role)
        for role in ("target", "draft")
    )
    server = VerifierServer(target)
    options = {k: v for k, v in dssd.methods(8)[method].items() if k != "method"}
    task = DecodeRequest(
        method=method, options=options, sampling=Sampling(1.0), seed=pair.seed, repetition=0,
        stream="device/0", max_new_tokens=dssd.TOKENS, end_tokens=(),
    )  # fmt: skip
    decoded = generate(
        task, target.encode(dssd.PROMPT), draft, InProcessChannel(server), timeout=60,
        trace=Tracer("device", None),
    )  # fmt: skip
    assert decoded.counts.rounds == pair.rounds


def test_dssd_counts_what_the_paper_charges_and_measures_the_rest(dssd):
    rows = [row("dsd", rounds=31, predicted_on_air_s=4.0, network_s=5.0)]
    run = dssd.Run.of(rows, "dsd", 0.02)
    assert run.counted.value == pytest.approx(4.62)
    assert run.network.value == 5.0
    rows = [row("dsd", verdict="invalid", reasons=["late"])]
    assert dssd.Run.of(rows, "dsd", 0.02).counted.value is None


def test_tk_slt_table_1_is_the_closed_form(tkslt):
    assert tkslt.table_1()[1] == []


def test_tk_slt_costs_give_every_printed_l(tkslt):
    for kept, printed in tkslt.PRINTED_L.items():
        cost = relative_cost(tkslt.COSTS, tk_slt_bits(kept, tkslt.VALUE_BITS))
        assert cost == pytest.approx(printed, rel=1e-3)


def test_tk_slt_pair_has_the_acceptance_that_is_printed(tkslt):
    assert tkslt.kept_overlap(0.439, tkslt.VOCABULARY) == pytest.approx(0.439)
    alpha = tkslt.alpha_for(0.31, 3)
    assert tkslt.kept_overlap(alpha, 3) == pytest.approx(0.31, abs=0.005)
    assert tkslt.own_alpha("T = 0", 320) is None


def test_tk_slt_speed_up_leaves_the_prompt_and_luck_out(tkslt):
    mine = [row("tslt", tokens=9, rounds=5, device_compute_s=0.1, verify_s=0.2, network_s=0.1)]
    assert tkslt.gain(0.5, 1)(mine) == pytest.approx(1.5 * 5 * tkslt.T_LLM / 0.4)
    assert tkslt.own_gain(mine) == pytest.approx(9 * tkslt.T_LLM / 0.4)


def test_qs_chains_have_the_authors_mean_rates(qs):
    means = [qs.mean_rate(chain) for chain in qs.CHAINS]
    assert np.round(means, 2).tolist() == [3.0, 3.82, 4.67, 5.56]


def test_qs_adapts_among_what_the_dqn_knows(qs):
    assert set(qs.TOTALS) <= set(RESOLUTIONS)


def test_qs_traces_spend_their_time_as_the_chain_does(qs):
    chain = (0.75, 0.3)
    lines = [line.split(",") for line in qs.trace(chain).splitlines()[1:]]
    ends = [*(float(t) for t, _ in lines[1:]), qs.LASTING]
    mean = sum(
        float(rate) * (end - float(t)) for (t, rate), end in zip(lines, ends, strict=True)
    ) / (qs.LASTING - float(lines[0][0]))
    assert mean == pytest.approx(qs.mean_rate(chain), abs=0.25)


def test_sqs_compares_no_invalid_value():
    sqs, common = importlib.import_module("sqs"), importlib.import_module("common")
    mine = {label: common.Measured(50.0 + n) for n, label in enumerate(sqs.LABELS)}
    broken = {**mine, sqs.LABELS[1]: common.Measured(None, "too busy")}
    words = sqs.ranking({"latency": {0.2: mine, 1.0: broken}})
    assert "K-SQS-8" in words[0]
    assert "not compared" in words[1]


def test_scenarios_are_ones(dssd, tkslt, qs, tmp_path):
    import yaml  # noqa: PLC0415

    sqs, common = importlib.import_module("sqs"), importlib.import_module("common")
    (tmp_path / "uplink.csv").write_text(qs.trace(qs.USUAL))
    made = (
        dssd.scenario("a", 0.8, 1, (20, 100), list(dssd.methods(8).values()), downlink=True),
        tkslt.scenario("b", 0.4, rate=1e6, entries=["tslt"], draft=3e-3, dilation=4),
        qs.scenario("c", 0.4, models=qs.REAL),
        qs.scenario("d", 1.0, **qs.SYNTHETIC),
        sqs.scenario(0.5),
    )
    for each in made:
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump({**common.COMMON, **each}))
        assert load_scenario(path).name == each["name"]
