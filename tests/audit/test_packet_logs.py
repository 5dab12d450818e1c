"""Packet logs: what is written is read back, and what is missing is noticed."""

import gzip
import os
import re

import msgspec
import pytest

from testbed.audit.checks.packet_logs import judge_packets
from testbed.audit.packet_logs import read_packets
from testbed.emulation import packet_log
from testbed.emulation.packet_log import End, Header, PacketLine, PacketLog
from testbed.errors import TestbedError
from testbed.host.machine_errors import TOO_LARGE
from testbed.links.packet import Packet

HEADER = Header(seed=1, link="radio", direction="up", repetition=2, t=5, spec={"rate": "1mbit"})


def written(path, end, sent=(0, 2), dropped=(1,)):
    log = PacketLog(path, HEADER)
    for number in sent:
        log.sent(Packet(number, bytes(100), 1.5), due=1.6, left=1.6000001)
    for number in dropped:
        log.dropped(Packet(number, bytes(60), 1.5), "queue")
    log.end(end)
    while not log.finish():
        pass
    return path


def whole(received=3, forwarded=2, duplicated=0, in_flight=0):
    return End(9, received, forwarded, {"queue": 1}, duplicated, in_flight)


def test_lines_are_read_back_in_order(tmp_path):
    path = written(tmp_path / "log.gz", whole())
    sent = PacketLine(0, 1_500_000_000, 100, 1_600_000_000, 1_600_000_100)
    assert list(read_packets(path)) == [
        HEADER,
        sent,
        msgspec.structs.replace(sent, n=2),
        PacketLine(1, 1_500_000_000, 60, dropped="queue"),
        whole(),
    ]
    assert judge_packets(path) == []


def test_more_than_a_pipe_holds_is_kept_until_gzip_takes_it(tmp_path):
    count = 20_000
    path = written(tmp_path / "log.gz", End(9, count, count, {}, 0, 0), range(count), ())
    assert judge_packets(path) == []
    assert path.stat().st_size < 100 * count / 4


@pytest.mark.parametrize(
    ("script", "patience", "said"),
    [
        ("exec sleep 600", 0.1, "gzip has stood still for 0.1 s"),
        ("exec <&-; exec sleep 600", 0.1, "gzip failed: it did not end within 0.1 s"),
        # Those that end by themselves take their time on a busy machine.
        ("kill -XFSZ $$", 60, f"gzip failed: signal SIGXFSZ: {TOO_LARGE}"),
        ("echo it is full >&2; exit 1", 60, "it is full"),
    ],
)
def test_a_gzip_that_does_not_do_its_work_is_named(tmp_path, monkeypatch, script, patience, said):
    gzip = tmp_path / "gzip"
    gzip.write_text(f"#!/bin/sh\n{script}\n")
    gzip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(packet_log, "_PATIENCE", patience)
    log = PacketLog(tmp_path / "log.gz", HEADER)
    with pytest.raises(OSError, match=f"^{re.escape(f'{tmp_path}/log.gz: {said}')}$"):
        # More than a pipe holds, so that what does not read is noticed.
        for number in range(5000):
            log.sent(Packet(number, bytes(100), 1.5), due=1.6, left=1.7)
        log.end(whole())
        while not log.finish():
            pass
    log._gzip.kill()
    log._gzip.wait()


@pytest.mark.parametrize(
    ("end", "sent", "said"),
    [
        (whole(), (0,), "holds (2, 1, {'queue': 1})"),
        (whole(), (0, 0), "has 1 packets twice, where the link made 0"),
        (whole(received=2, duplicated=1), (0, 0), None),
        (whole(received=4), (0, 2), "the link counted (4, 2,"),
        (whole(received=4, in_flight=1), (0, 2), None),
    ],
)
def test_books_that_do_not_balance_are_noticed(tmp_path, end, sent, said):
    wrong = judge_packets(written(tmp_path / "log.gz", end, sent))
    assert (said is None) == (wrong == [])
    assert said is None or said in wrong[0]


def test_a_log_that_was_cut_off_is_noticed(tmp_path):
    path = written(tmp_path / "log.gz", whole(), range(1000), ())
    path.write_bytes(path.read_bytes()[:-200])
    assert judge_packets(path) == ["log.gz has no end"]


def test_a_damaged_log_is_named(tmp_path):
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b'{"event": "header"}\n'))
    with pytest.raises(TestbedError, match=r"log\.gz: line 1: cannot be read: Object missing"):
        judge_packets(path)
