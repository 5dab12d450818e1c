"""Being on time: what is asked of the machine, and that it may be refused."""

from testbed import punctual


def test_processors_are_kept_awake_where_the_kernel_allows_it(tmp_path, monkeypatch):
    device = tmp_path / "cpu_dma_latency"
    monkeypatch.setattr(punctual, "WAKE_UP", device)
    with punctual.awake() as granted:
        assert not granted
    assert not device.exists()
    device.touch()
    with punctual.awake() as granted:
        assert granted
        assert device.read_bytes() == bytes(4)  # no time at all, in µs
