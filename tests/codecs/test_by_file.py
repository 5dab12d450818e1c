"""A new codec is one new file: options name it, and methods decode with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODECS = {
    "fixed8": """
from dataclasses import dataclass
from testbed.codecs.fixed_point import FixedPoint

@dataclass(frozen=True)
class Fixed8(FixedPoint):
    precisions = ("fixed8",)
""",
    "uncompressed": """
from testbed.codecs.fixed_point import CompressedFixedPoint, FixedPoint

class Uncompressed(CompressedFixedPoint):
    name = "uncompressed"

    def write(self, writer, distribution):
        FixedPoint(self.precision).write(writer, distribution)

    def read(self, reader, vocabulary_size):
        return FixedPoint(self.precision).read(reader, vocabulary_size)
""",
    "renamed_lattice": """
from testbed.codecs.sparse_lattice import SparseLattice

class Renamed(SparseLattice):
    name = "renamed"
""",
}
USE = """
import sys
import testbed.codecs
testbed.codecs.__path__.append(sys.argv[1])
from testbed.errors import TestbedError
from tests.support.toy import decode_locally, similar_models, task
for method, options in (
    ("dsd", {"precision": "fixed8"}),
    ("dssd", {"target_precision": "fixed8"}),
    ("dssd_lean", {"form": "uncompressed"}),
    ("qs", {"index": "renamed"}),
):
    print(method, len(decode_locally(task(method, 20, **options), *similar_models(12, 0.3)).tokens))
    (key,) = options
    try:
        print(decode_locally(task(method, 20, **{key: "unknown"}), *similar_models(12)))
    except TestbedError as error:
        print(str(error).partition("choose from ")[2])
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Return the lines printed by a process with these files more among its codecs."""
    folder = tmp_path_factory.mktemp("codecs")
    for name, text in CODECS.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-c", USE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_new_file_is_all_that_a_new_codec_needs(used):
    assert used[::2] == ["dsd 20", "dssd 20", "dssd_lean 20", "qs 20"]


def test_an_unknown_one_lists_the_known_ones_and_the_new_one(used):
    assert used[1::2] == [
        "fixed16, fixed32, bf16, fp16, fp32, fixed8",
        "fixed16, fixed32, bf16, fp16, fp32, fixed8",
        "entropy, sparse, uncompressed",
        "renamed, simplex, support",
    ]
