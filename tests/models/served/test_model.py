"""A model behind a server gives the rows of the model itself, or one sentence."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from testbed.decoding.sampling import Sampling
from testbed.errors import TestbedError
from testbed.methods.base import methods
from testbed.models.served import completions
from testbed.models.served.address import place_address, request, require_address
from testbed.models.served.model import ServedModel
from testbed.models.synthetic import SyntheticModel
from tests.support.served import PADDING, SERVED, Stub, Text, log_softmax, serve
from tests.support.toy import decode_locally, task

SIZE = 60
START = "start one by: vllm serve MODEL --uds SOCKET --max-logprobs -1"


class Named(SyntheticModel):
    """A draft of the same vocabulary, by its fingerprint, as the served target."""

    vocabulary_id = Text(SIZE).vocabulary.fingerprint


@dataclass
class Pair:
    stub: Stub
    target: SyntheticModel
    draft: SyntheticModel
    address: str

    def served(self) -> ServedModel:
        return ServedModel(self.address, Text(SIZE), "mine")


@pytest.fixture
def pair(tmp_path):
    draft, target = (Named(SIZE, 0.7, seed=3, role=role) for role in ("draft", "target"))
    stub = Stub(target)
    with serve(stub, tmp_path / "s.sock") as address:
        yield Pair(stub, target, draft, address)


def refusal(pair: Pair) -> str:
    with pytest.raises(TestbedError) as caught:
        pair.served()
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(pair.address, "HERE")


def test_rows_are_those_of_the_model(pair):
    session, own = pair.served().session(), pair.target.session()
    pair.stub.requests.clear()
    for step in ([5, 6, 7], [8]):
        padded = np.full((len(step), PADDING), -20, np.float32)
        logits = np.concatenate([own.extend(step), padded], axis=1)
        expected = np.stack([log_softmax(row) for row in logits])
        got = session.extend(step)
        assert got.dtype == np.float32
        assert np.array_equal(got, expected[:, :SIZE])
    assert [each["prompt"] for each in pair.stub.requests] == [
        [[5], [5, 6], [5, 6, 7]],
        [[5, 6, 7, 8]],
    ]
    assert session.length == 4


def test_a_row_can_be_kept_alone_and_a_sequence_rolled_back(pair):
    session, own = pair.served().session(), pair.target.session()
    first = session.extend([5, 6, 7, 8], keep=2)
    session.rollback(2)
    assert session.length == 2
    own.extend([5, 6])
    again = session.extend([9, 8])
    assert [each["prompt"] for each in pair.stub.requests[-2:]] == [
        [[5, 6, 7], [5, 6, 7, 8]],
        [[5, 6, 9], [5, 6, 9, 8]],
    ]
    assert not np.array_equal(first, again)
    assert np.array_equal(again.argmax(1), own.extend([9, 8]).argmax(1))
    with pytest.raises(ValueError, match="roll"):
        session.rollback(5)


def test_the_limits_are_those_of_files_and_server(pair):
    model = pair.served()
    assert (model.vocabulary_size, model.context_length) == (SIZE, 2047)
    assert model.vocabulary_id == Text(SIZE).vocabulary.fingerprint
    with pytest.raises(TestbedError, match="its context allows 2047"):
        model.session().extend([0] * 2048, keep=1)
    with pytest.raises(TestbedError, match="allows 0 to 59"):
        model.session().extend([SIZE])


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0), Sampling(0.7, 20, 0.9)])
@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_decodes_the_same_text(pair, method, sampling):
    texts = [
        decode_locally(task(method, 12, sampling), pair.draft, target).tokens
        for target in (pair.target, pair.served())
    ]
    assert texts[0] == texts[1]


def test_a_failed_pass_leaves_the_sequence_as_it_was(pair):
    session = pair.served().session()
    session.extend([1, 2])
    pair.stub.change = lambda answer: {**answer, "model": "other"}
    with pytest.raises(TestbedError):
        session.extend([3])
    assert session.length == 2


def test_ids_that_json_has_no_probability_for_have_none(pair):
    original = pair.stub.row
    pair.stub.row = lambda prompt: normalised_without(original(prompt), "token_id:7")
    assert pair.served().session().extend([1])[0, 7] == -np.inf


def normalised_without(row: dict[str, float], key: str) -> dict[str, float]:
    rest = np.log1p(-np.exp(row[key]))
    return {**{each: value - rest for each, value in row.items()}, key: -9999.0}


def changed_rows(change):
    """Return a change of an answer that applies `change` to each row."""

    def apply(answer):
        for choice in answer["choices"]:
            choice["logprobs"]["top_logprobs"] = change(choice["logprobs"]["top_logprobs"])
        return answer

    return apply


def test_a_server_of_the_likeliest_20_is_refused(pair):
    pair.stub.most_logprobs = 20
    assert f"lacks {SIZE - 20} of the vocabulary's {SIZE} tokens" in refusal(pair)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed_rows(lambda rows: []), "answers with 0 rows for 1 prompts"),
        (changed_rows(lambda rows: rows * 2), "answers with 2 rows for 1 prompts"),
        (lambda answer: {**answer, "choices": []}, "answers with 0 rows for 0 prompts"),
        (lambda answer: {**answer, "model": "b"}, f"model 'b' answers with 1 rows for 1 prompts; "
         f"model '{SERVED}' was asked for one row for each of 1"),
        (changed_rows(lambda rows: [{**rows[0], "w9": -3.0}]), "does not name its tokens"),
        (changed_rows(lambda rows: [{**rows[0], "token_id:x": -3.0}]), "does not name its tokens"),
        (changed_rows(lambda rows: [{**rows[0], "token_id:5": None}]), "Expected `float`"),
        (changed_rows(lambda rows: [{**rows[0], "token_id:5": float("nan")}]), "malformed"),
        (changed_rows(lambda rows: [{**rows[0], "token_id:5": 1e39}]), "sum to inf"),
        (changed_rows(lambda rows: [dict.fromkeys(rows[0], -9999.0)]), "sum to 0;"),
        (lambda answer: {"model": SERVED}, "missing required field `choices`"),
        (lambda answer: b"<html>", "malformed"),
        (lambda answer: [], "Expected `object`"),
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_refused(pair, change, sentence):
    pair.stub.change = change
    said = refusal(pair)
    assert sentence in said
    assert said.startswith("HERE/v1/completions: ")
    assert said.endswith(START)


def test_the_message_of_a_refusal_is_passed_on(pair):
    message = "Requested sample logprobs of 49152, which is greater than max allowed: 20"
    pair.stub.answer, before = lambda path, body: (
        (400, {"error": {"message": message}})
        if path == "/v1/completions"
        else before(path, body)
    ), pair.stub.answer  # fmt: skip
    assert refusal(pair) == f"HERE/v1/completions: HTTP status 400: {message}; {START}"
    pair.stub.answer = lambda path, body: (500, b"Internal Server Error")
    assert refusal(pair) == f"HERE/v1/models: HTTP status 500: no message; {START}"


@pytest.mark.parametrize(
    ("cards", "listed"),
    [
        ([], "none"),
        ([{"id": "a", "max_model_len": 9}, {"id": "b", "max_model_len": 9}], "a, b"),
        ([{"id": "a"}], "a"),
    ],
)
def test_a_server_has_one_model_and_its_limit(pair, cards, listed):
    pair.stub.cards = cards
    assert refusal(pair).startswith(f"HERE/v1/models: it lists {listed}; a target must be")


def test_another_tokenizer_is_refused(pair):
    pair.stub.encode = lambda text: [1, 2, 3]
    assert refusal(pair) == (
        f"HERE/tokenize: model '{SERVED}' has another tokenizer than 'mine'; give as "
        "models.target.model the files of the model that is served"
    )


def test_an_answer_without_end_is_refused(pair, monkeypatch):
    monkeypatch.setattr(completions, "_OTHER", 500)
    pair.stub.change = lambda answer: b" " * 100_000
    assert "the answer has over 8,180 bytes" in refusal(pair)


def test_nobody_there(tmp_path):
    for address, why in (
        (f"unix:{tmp_path}/none.sock", "No such file or directory"),
        ("http://127.0.0.1:1", "Connection refused"),
    ):
        with pytest.raises(TestbedError) as caught:
            ServedModel(address, Text(SIZE), "mine")
        assert str(caught.value).startswith(f"no HTTP server answers at {address} ([Errno")
        assert why in str(caught.value)
        assert str(caught.value).endswith(START)


def test_a_server_that_hangs_up(tmp_path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()

    def hang_up():
        listening.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(TestbedError, match="no HTTP server answers"):
        request(f"unix:{tmp_path}/s", "/", None, 10)
    thread.join()
    listening.close()


def test_a_port_of_this_host():
    target = SyntheticModel(SIZE, 0.7, seed=3, role="target")
    with serve(Stub(target)) as address:
        row = ServedModel(address, Text(SIZE), "mine").session().extend([4])
    assert row[0].argmax() == target.session().extend([4])[0].argmax()


@pytest.mark.parametrize(
    "address", ["/run/s", "unix:", "https://h:1", "http://h:1/v1", "http://:80", "http://h:x"]
)
def test_other_addresses_are_refused(address):
    with pytest.raises(TestbedError, match="is not the address of a server; allowed are unix:/pa"):
        require_address(address)


def test_a_socket_is_placed_and_a_port_is_not():
    assert place_address("unix:s.sock", lambda path: f"/there/{path}") == "unix:/there/s.sock"
    assert place_address("http://h:8000", lambda path: f"/there/{path}") == "http://h:8000"
