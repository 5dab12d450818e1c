"""The longest time that a node may take to load its model."""

from testbed.experiment.deployment import longest_loading
from testbed.models.spec import HuggingFaceSpec, ServedSpec, SyntheticSpec


def test_a_large_model_may_take_longer_to_be_read(tmp_path):
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(10_000_000_000)
    (tmp_path / "figures").mkdir()
    large = HuggingFaceSpec(str(tmp_path), "large")
    assert longest_loading(large) == 300 + 500
    assert longest_loading(ServedSpec("unix:/s", large)) == 300
    assert longest_loading(SyntheticSpec(8, 0.5)) == 300
