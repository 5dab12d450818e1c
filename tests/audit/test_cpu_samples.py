"""A node that waits for processors, or others that use them, make a generation suspect."""

import subprocess
import sys
import time

import pytest

from testbed.audit import cpu_samples
from testbed.audit.base import judge
from testbed.audit.cpu_samples import Processors
from testbed.results.verdict import Verdict
from tests.support.evidence import generation_evidence


@pytest.fixture
def machine(monkeypatch):
    """Simulate a machine; return its counters, which a test sets."""
    state = {"waited": {"1": 0.0, "2": 0.0}, "busy": 50.0, "here": 9.0, "stolen": 0.0, "now": 0.0}
    monkeypatch.setattr(cpu_samples, "waited", lambda _pid: dict(state["waited"]))
    monkeypatch.setattr(cpu_samples, "used", lambda _cores: (state["busy"], state["stolen"]))
    monkeypatch.setattr(cpu_samples, "used_here", lambda: state["here"])
    monkeypatch.setattr(cpu_samples.time, "monotonic", lambda: state["now"])
    monkeypatch.setattr(cpu_samples.os, "sched_getaffinity", lambda _pid: {0, 3})
    return state


def judged(machine, *, waited=0.0, busy=0.0, here=0.0, stolen=0.0, seconds=10.0):
    watch = Processors({"device": 7})
    watch.start()
    machine["waited"]["2"] += waited
    for name, more in (("busy", busy), ("here", here), ("stolen", stolen), ("now", seconds)):
        machine[name] += more
    watch.stop()
    machine["waited"]["2"] += 100  # after the text
    machine["busy"] += 100
    return judge(generation_evidence(cpu=watch.use()))


def test_a_thread_may_wait_a_tenth_of_the_time(machine):
    assert judged(machine, waited=0.99) == Verdict()
    verdict = judged(machine, waited=1.01)
    assert verdict.level == "suspect"
    assert verdict.reasons == [
        "device waited 1.01 s of 10.00 s for a processor (limit 10 %): this machine is too busy"
    ]


def test_others_may_use_a_tenth_of_the_processors(machine):
    assert judged(machine, busy=14.9, here=13.0) == Verdict()
    verdict = judged(machine, busy=15.1, here=13.0)
    assert verdict.level == "suspect"
    assert verdict.reasons == [
        "other programs used 2.10 s of the processors' 20.00 s (limit 10 %): "
        "this machine is too busy"
    ]


def test_ticks_do_not_condemn_a_short_text(machine):
    assert judged(machine, busy=0.04, seconds=0.1) == Verdict()
    assert judged(machine, busy=0.06, seconds=0.1).level == "suspect"


def test_what_the_host_withholds_counts_too(machine):
    assert judged(machine, stolen=1.9) == Verdict()
    assert judged(machine, stolen=2.1).reasons[0].startswith("this machine's own host used 2.10 s")


def test_a_kernel_that_does_not_tell_makes_it_suspect(machine):
    machine["waited"].clear()
    watch = Processors({"device": 7})
    watch.stop()
    verdict = judge(generation_evidence(cpu=watch.use()))
    assert verdict.reasons == ["device: this kernel does not tell how long it waited"]


def test_only_our_own_processors_count(tmp_path, monkeypatch):
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 900 800 70 60 5 0 0\ncpu1 7 7 7 7 7 7 7 7 0 0\n"
        "cpu3 10 20 30 0 0 0 0 50 0 0\nintr 1\n"
    )
    monkeypatch.setattr(cpu_samples, "_PROC", tmp_path)
    assert cpu_samples.used({0, 3}) == pytest.approx((0.66, 0.55))


def test_the_dead_count_with_their_parents(tmp_path, monkeypatch):
    for pid, name in ((1, "a b) c"), (22, "x")):
        (tmp_path / str(pid)).mkdir()
        fields = " ".join(str(n) for n in range(3, 53))
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) {fields}")
    (tmp_path / "333").mkdir()  # just ended
    (tmp_path / "uptime").touch()
    monkeypatch.setattr(cpu_samples, "_PROC", tmp_path)
    # proc(5): fields 14 to 17 are utime, stime, cutime and cstime.
    assert cpu_samples.used_here() == pytest.approx(2 * (14 + 15 + 16 + 17) / 100)


def test_a_process_that_shares_its_processor_waits():
    program = "import os, time\nos.sched_setaffinity(0, {0})\nwhile True: pass"
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        time.sleep(0.3)
        before = max(cpu_samples.waited(both[0].pid).values())
        time.sleep(1.0)
        assert 0.2 < max(cpu_samples.waited(both[0].pid).values()) - before < 1.0
    finally:
        for process in both:
            process.kill()
            process.wait()
