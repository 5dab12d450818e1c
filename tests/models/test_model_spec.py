from __future__ import annotations

import msgspec
import pytest

from testbed.models.load import load_model
from testbed.models.spec import HuggingFaceSpec, ModelSpec, ServedSpec, SyntheticSpec


@pytest.mark.parametrize(
    "spec",
    [
        SyntheticSpec(vocabulary_size=9, acceptance=0.5, seed=4, name="toy"),
        HuggingFaceSpec(path="/m", name="big", dtype="bf16", without_layers=(3, 4), threads=2),
        ServedSpec("unix:/s", HuggingFaceSpec(path="/m", name="big")),
    ],
)
def test_json_round_trip(spec: ModelSpec) -> None:
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ModelSpec) == spec


@pytest.mark.parametrize(
    "text",
    [
        b'{"type": "synthetic", "vocabulary_size": 9, "acceptance": 0.5, "sede": 1}',
        b'{"type": "huggingface", "path": "/m", "name": "big", "dtype": "fp8"}',
    ],
)
def test_unknown_fields_and_values_are_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=ModelSpec)


def test_load_passes_the_role_and_every_field() -> None:
    spec = SyntheticSpec(vocabulary_size=9, acceptance=0.5, seed=4, name="toy")
    target, draft = load_model(spec, "target"), load_model(spec, "draft")
    assert (draft.name, draft.vocabulary_size) == ("toy", 9)
    other = load_model(msgspec.structs.replace(spec, seed=5), "draft")
    rows = [model.session().extend([1, 2]).tolist() for model in (target, draft, other)]
    assert rows[0] != rows[1] != rows[2] != rows[0]
