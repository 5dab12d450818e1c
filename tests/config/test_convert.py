"""Written types: how their values are read, written and refused."""

from __future__ import annotations

import msgspec
import pytest

from testbed.config.convert import convert
from testbed.config.one_of import Form, OneOf
from testbed.config.written import FieldError, Written, write_fields
from testbed.errors import TestbedError


class Hours(Written):
    @classmethod
    def read(cls, raw):
        if not str(raw).endswith("h"):
            raise ValueError(f"{raw!r} has no h")
        return float(raw[:-1])

    @classmethod
    def write(cls, value):
        return f"{value:g}h"


class Span(Form, frozen=True):
    begin: Hours = msgspec.field(name="from")
    end: Hours = msgspec.field(name="to")
    pause: Hours | msgspec.UnsetType = msgspec.UNSET

    def value(self):
        if self.end < self.begin:
            raise FieldError("to", "it comes first")
        return self.end - self.begin


class Times(Form, frozen=True):
    times: int


class Length(OneOf):
    text = Hours
    forms = (Span, Times)


class Day(msgspec.Struct, forbid_unknown_fields=True):
    work: Length = 0.0
    breaks: list[Hours] = []


@pytest.mark.parametrize(
    ("raw", "work"),
    [("8h", 8.0), ({"from": "9h", "to": "17.5h"}, 8.5), ({"times": 3}, Times(3)), (..., 0.0)],
)
def test_a_value_is_read_in_each_of_its_forms(raw, work):
    assert convert({} if raw is ... else {"work": raw}, Day, "x.").work == work


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"work": "8"}, "x.work: '8' has no h"),
        ({"work": None}, "x.work: None has no h"),
        ({"work": {"to": "9h"}}, "x.work.from: this key is missing"),
        ({"work": {"from": "9", "to": "9h"}}, "x.work.from: '9' has no h"),
        ({"work": {"from": "9h", "to": "8h"}}, "x.work.to: it comes first"),
        ({"work": {"to": "9h", "end": 1}}, "x.work.end: unknown key; allowed are from, to, pause"),
        ({"work": {"times": "3"}}, "x.work.times: '3': expected `int`, got `str`"),
        ({"work": {}}, "x.work.times: this key is missing"),
        ({"breaks": ["1h", "2"]}, "x.breaks[1]: '2' has no h"),
    ],
)
def test_the_place_of_what_is_wrong_is_named(raw, said):
    with pytest.raises(TestbedError) as caught:
        convert(raw, Day, "x.")
    assert str(caught.value) == said


def test_structs_are_written_by_their_keys():
    assert write_fields(Span(9.0, 17.5)) == {"from": "9h", "to": "17.5h"}
    assert write_fields(Span(9.0, 17.5, 1.0))["pause"] == "1h"
    assert write_fields(Times(3)) == {"times": 3}
