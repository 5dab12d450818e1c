"""Real-time priority, timers and idle states: requests to the machine, granted or refused."""

from testbed.host import realtime


def test_processors_are_kept_awake_where_the_kernel_allows_it(tmp_path, monkeypatch):
    device = tmp_path / "cpu_dma_latency"
    monkeypatch.setattr(realtime, "WAKE_UP", device)
    with realtime.awake() as granted:
        assert not granted
    assert not device.exists()
    device.touch()
    with realtime.awake() as granted:
        assert granted
        assert device.read_bytes() == bytes(4)  # no time at all, in µs
