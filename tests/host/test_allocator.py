"""Memory of wide distributions: a node faults its pages in once."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

NODE = """
import resource
import numpy as np
from nodes.arguments import run

def compute():
    first = np.ones(151_936)
    second = first + 1
    return first + second

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def main():
    compute()
    before = faults()
    for _ in range(20):
        compute()
    print(faults() - before)

run(main)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_node_does_not_get_new_pages_for_every_distribution():
    """Three arrays of 297 pages each, 20 times; by default that takes 17,000 faults."""
    done = subprocess.run([sys.executable, "-c", NODE], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 1000
