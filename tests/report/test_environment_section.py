from __future__ import annotations

import msgspec
import pytest

from testbed.models.spec import GgufSpec, HuggingFaceSpec, ModelSpec, ServedSpec
from testbed.report.environment_section import environment_table


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (HuggingFaceSpec("/m", "big", threads=2), "big (dtype fp32, threads 2, device cpu)"),
        (GgufSpec("/m.gguf", "big.gguf", 2, block_tv=0.25),
         "big.gguf (threads 2, device cpu, block_tv 0.25)"),
        (ServedSpec("unix:/s", GgufSpec("/m.gguf", "big.gguf")), "big.gguf (served at unix:/s)"),
    ],
)  # fmt: skip
def test_a_model_is_named_with_how_it_ran(spec: ModelSpec, named: str) -> None:
    engines = {"engines": {"llama.cpp": "xllamacpp 1"}}
    table = environment_table(engines, [{"target": msgspec.to_builtins(spec)}])
    assert table.rows == [("target", named), ("llama.cpp", "xllamacpp 1")]
