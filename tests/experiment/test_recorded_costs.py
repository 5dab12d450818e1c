from __future__ import annotations

import pytest

from testbed.errors import TestbedError
from testbed.experiment.recorded_costs import read_costs
from testbed.results.directory import Results


@pytest.mark.parametrize("content", [None, "{", '{"source": "here"}'])
def test_costs_that_are_missing_or_damaged_are_one_sentence_with_its_remedy(tmp_path, content):
    results = Results(tmp_path)
    (tmp_path / "inputs").mkdir()
    if content is not None:
        (tmp_path / "inputs/costs.json").write_text(content)
    with pytest.raises(TestbedError, match=r"costs\.json: .*; .*: start it anew$") as caught:
        read_costs(results)
    assert "\n" not in str(caught.value)
