"""Bit fields and byte arrays: whole round trips, exact sizes, and every kind of damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import BitReader, BitWriter, PayloadError, width

fields = st.integers(0, 70).flatmap(
    lambda bits: st.tuples(st.integers(0, 2**bits - 1), st.just(bits))
)
contents = st.lists(fields | st.binary(max_size=9), max_size=25)


def write(content):
    writer = BitWriter()
    for item in content:
        if isinstance(item, bytes):
            writer.write_bytes(item)
        else:
            writer.write(*item)
    return writer.payload()


def read(data, content):
    reader = BitReader(data)
    got = [
        reader.read_bytes(len(item)) if isinstance(item, bytes) else (reader.read(item[1]), item[1])
        for item in content
    ]
    reader.finish()
    return got


@settings(deadline=None)
@given(contents)
def test_what_is_written_is_read_back(content):
    assert read(write(content).data, content) == content


def packed(content) -> bytes:
    """Return the bytes of a payload by its definition: bit by bit, as text."""
    done, fields = b"", ""
    for item in [*content, b""]:
        if isinstance(item, bytes):
            fields += "0" * (-len(fields) % 8)
            done += int(fields or "0", 2).to_bytes(len(fields) // 8, "big") + item
            fields = ""
        else:
            fields += f"{item[0]:0{item[1]}b}" if item[1] else ""
    return done


@settings(deadline=None)
@given(contents, st.integers(1, 3000))
def test_bits_on_the_wire_are_those_of_the_fields_one_behind_the_other(content, before):
    content = [(5, 3)] * before + content  # across the chunks that a writer keeps
    payload = write(content)
    assert payload.data == packed(content)
    assert read(payload.data, content) == content


def test_no_field_moves_all_that_was_written_before_it():
    writer, longest = BitWriter(), 0
    for token in range(200_000):
        writer.write(token, 18)
        longest = max(longest, writer._value.bit_length())
    assert longest < 2000
    assert len(writer.payload().data) == 200_000 * 18 // 8


@settings(deadline=None)
@given(contents)
def test_the_bits_of_a_payload_are_those_of_its_content_without_padding(content):
    payload = write(content)
    assert payload.bits == sum(
        8 * len(item) if isinstance(item, bytes) else item[1] for item in content
    )
    runs, padded = [0], 0  # lengths of the runs of fields between arrays
    for item in content:
        if isinstance(item, bytes):
            padded += len(item)
            runs.append(0)
        else:
            runs[-1] += item[1]
    assert len(payload.data) == padded + sum(-(-run // 8) for run in runs)


@settings(deadline=None)
@given(contents.filter(lambda content: write(content).data))
def test_a_byte_too_few_or_too_many_is_refused(content):
    data = write(content).data
    with pytest.raises(PayloadError):
        read(data[:-1], content)
    with pytest.raises(PayloadError, match=f"payload of {len(data) + 1} bytes has 1 too many"):
        read(data + b"\0", content)


@pytest.mark.parametrize(
    ("data", "content", "message"),
    [
        (b"", [(0, 1)], "payload of 0 bytes ends inside a field"),
        (b"\xff", [(0, 4), (0, 5)], "payload of 1 bytes ends inside a field"),
        (b"\xff\xff", [(0, 8), b"xx"], "payload of 2 bytes ends inside an array"),
        (b"\x80\x00\x00", [(1, 1)], "payload of 3 bytes has 2 too many"),
        (b"\x81", [(1, 1)], "the padding of a bit field is not zero"),
        (b"\xc0x", [(1, 1), b"x"], "the padding of a bit field is not zero"),
    ],
)
def test_damage_is_said(data, content, message):
    with pytest.raises(PayloadError, match=message):
        read(data, content)


@pytest.mark.parametrize("bit", range(5))
def test_each_bit_of_the_padding_is_checked(bit):
    data = bytes([0b10100000 | 1 << bit])
    with pytest.raises(PayloadError, match="padding"):
        read(data, [(0, 3)])


def test_fields_are_big_endian_and_packed_without_gaps():
    assert write([(0b101, 3), (0b00111, 5), (0x1234, 16)]).data == b"\xa7\x12\x34"
    assert write([(1, 1), b"ab", (3, 2)]).data == b"\x80ab\xc0"
    assert write([]).data == b""


@pytest.mark.parametrize(("value", "bits"), [(8, 3), (1, 0), (-1, 8), (2**64, 64)])
def test_a_value_that_does_not_fit_is_refused(value, bits):
    with pytest.raises(ValueError, match=f"{value} does not fit into {bits} bits"):
        BitWriter().write(value, bits)


def test_width_is_the_logarithm_rounded_up():
    assert [width(n) for n in (1, 2, 3, 4, 5, 8, 9, 1024, 1025, 49152, 151936)] == [
        0, 1, 2, 2, 3, 3, 4, 10, 11, 16, 18,
    ]  # fmt: skip
