"""Quantities with units: '10mbit', '20ms', '1%', '64KiB' to numbers and back.

A number without a unit is refused (only 0 needs none), because a guess between 10 ms and 10 s may
spoil an experiment. So is a number outside generous bounds. A number may have a decimal point and
an exponent, `2.5e-3s`. Every `format_*` is exact: parsing its result gives the same value, so that
a resolved scenario is the same scenario.
"""

import re
import reprlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple


class OutOfBoundsError(ValueError):
    """A quantity of the right form that is outside the bounds of its kind."""


class _Kind(NamedTuple):
    """A kind of quantity: its name, units, and bounds in the base unit."""

    name: str
    units: Mapping[str, Decimal]
    example: str
    most: Decimal
    least: Decimal = Decimal(0)


_RATES = {"bit": Decimal(1), "kbit": Decimal(10) ** 3, "mbit": Decimal(10) ** 6}
_RATES["gbit"] = Decimal(10) ** 9
_TIMES = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}
_FRACTIONS = {"%": Decimal("0.01")}
_SIZES = {"B": Decimal(1), "KB": Decimal(10) ** 3, "KiB": Decimal(2) ** 10}
_SIZES |= {"MB": Decimal(10) ** 6, "MiB": Decimal(2) ** 20}

_ENERGIES = {"nJ": Decimal("1e-9"), "uJ": Decimal("1e-6"), "mJ": Decimal("1e-3"), "J": Decimal(1)}

_RATE = _Kind("rate", _RATES, "10mbit", most=Decimal(10) ** 12, least=Decimal(1))
_TIME = _Kind("time", _TIMES, "20ms", most=Decimal(10) ** 6)
_FRACTION = _Kind("percentage", _FRACTIONS, "1%", most=Decimal(1))
_SIZE = _Kind("size", _SIZES, "64KiB", most=Decimal(2) ** 40)
_ENERGY = _Kind("measure of energy", _ENERGIES, "80mJ", most=Decimal(10) ** 6)

_KINDS = {kind.name: kind for kind in (_RATE, _TIME, _FRACTION, _SIZE, _ENERGY)}
UNITS = {kind.name: tuple(kind.units) for kind in (_RATE, _TIME, _FRACTION)}
"""The units of each kind of quantity that a CSV trace may have."""

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_PLAIN = re.compile(_NUMBER, re.ASCII)
_QUANTITY = re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>[A-Za-z]+|%)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\d+,\d+ ?(?:[A-Za-z]+|%)?", re.ASCII)


def parse_number(text: str, what: str, most: int) -> float:
    """Return a number of `what` such as '5e-05'; ValueError unless it is from 0 to `most`."""
    if not _PLAIN.fullmatch(text) or float(text) > most:
        raise ValueError(
            f"{reprlib.repr(text)} is not a number of {what}; it must be 0 to {most}{_advice(text)}"
        )
    return float(text)


def parse_rate(text: str) -> float:
    """Return a rate such as '10mbit' in bit/s; ValueError unless it has a known unit."""
    return float(_parse(text, _RATE))


def parse_rate_or_zero(text: str) -> float:
    """Return a rate in bit/s like `parse_rate`; 0, with or without a unit, is allowed too."""
    match = _QUANTITY.fullmatch(text)
    if match and match["unit"] in (None, *_RATES) and Decimal(match["number"]) == 0:
        return 0.0
    return parse_rate(text)


def parse_time(text: str) -> float:
    """Return a duration such as '20ms' in seconds; ValueError unless it has a known unit."""
    return float(_parse(text, _TIME))


def parse_fraction(text: str) -> float:
    """Return a percentage such as '1%' as a share of one; ValueError outside 0% to 100%."""
    return float(_parse(text, _FRACTION))


def parse_size(text: str) -> int:
    """Return a size such as '64KiB' in bytes; ValueError unless it is a whole number of bytes."""
    size = _parse(text, _SIZE)
    if size != size.to_integral_value():
        raise ValueError(f"{text!r} is not a size; it must be a whole number of bytes")
    return int(size)


def parse_energy(text: str) -> float:
    """Return an energy such as '80mJ' in joules; ValueError unless it has a known unit."""
    return float(_parse(text, _ENERGY))


def parse_count(text: str, what: str, most: int) -> int:
    """Return a whole number of `what` such as '5'; ValueError unless it is from 1 to `most`."""
    # int() refuses thousands of digits, and a number with more digits than `most` is too large.
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not digits or not 1 <= int(text) <= most:
        raise ValueError(f"{reprlib.repr(text)} is not a number of {what}; it must be 1 to {most}")
    return int(text)


def format_rate(rate: float) -> str:
    """Write a rate in bit/s with the largest unit that keeps it at least one: '10mbit'."""
    return _format(Decimal(repr(rate)), _RATES)


def format_time(seconds: float) -> str:
    """Write a duration in seconds with the largest unit that keeps it at least one: '20ms'."""
    return _format(Decimal(repr(seconds)), _TIMES)


def format_fraction(fraction: float) -> str:
    """Write a fraction of one as a percentage: '1%'."""
    return _format(Decimal(repr(fraction)), _FRACTIONS)


def format_size(size: int) -> str:
    """Write a size in bytes with the largest unit that divides it: '64KiB'."""
    dividing = {unit: scale for unit, scale in _SIZES.items() if size % int(scale) == 0}
    return _format(Decimal(size), dividing)


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind of quantity: 'rate', 'time', 'percentage' or 'size'."""
    units = "|".join(_KINDS[kind].units)
    pattern = rf"^(?:{_NUMBER} ?(?:{units})|0+(?:\.0*)?)$"
    return {
        "anyOf": [{"type": "string", "pattern": pattern}, {"const": 0}],
        "examples": [_KINDS[kind].example],
    }


def _parse(text: str, kind: _Kind) -> Decimal:
    shown = reprlib.repr(text)
    match = _QUANTITY.fullmatch(text)
    number = Decimal(match["number"]) if match else Decimal(0)
    if match and match["unit"] is None and number == 0:
        value = number
    elif match is None or match["unit"] not in kind.units:
        allowed = f"one of {', '.join(kind.units)}" if len(kind.units) > 1 else "".join(kind.units)
        raise ValueError(
            f"{shown} is not a {kind.name}; write a number and {allowed}, e.g. {kind.example}"
            f"{_advice(text)}"
        )
    else:
        value = number * kind.units[match["unit"]]
    if not kind.least <= value <= kind.most:
        least, most = (_format(bound, kind.units) for bound in (kind.least, kind.most))
        raise OutOfBoundsError(f"{shown} is not a {kind.name}; it must be {least} to {most}")
    return value


def _advice(text: str) -> str:
    """Return the remedy for a decimal comma, as the end of an error message; else ""."""
    return "; write a point, not a decimal comma" if _DECIMAL_COMMA.fullmatch(text) else ""


def _format(value: Decimal, units: Mapping[str, Decimal]) -> str:
    by_scale = sorted(units.items(), key=lambda item: item[1])
    fitting = [(unit, scale) for unit, scale in by_scale if scale <= value]
    unit, scale = fitting[-1] if fitting else by_scale[0]
    number = f"{value / scale:f}"  # exact: at most 17 digits, and scaling them needs no more
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number + unit
