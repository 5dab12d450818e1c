"""Tables 1, 2 and 3 of DSSD (arXiv 2507.12000) as printed, and the values of its formulas.

Tables 2 and 3 were read in the paper; see scripts/reproduce/dssd.py for what is made of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from scipy.optimize import brentq, least_squares

from testbed.decoding.theory import (
    Costs,
    dsd_round_seconds,
    dssd_round_seconds,
    expected_tokens,
    round_seconds,
)  # fmt: skip

VOCABULARY, TOKENS = 50272, 128
DSD_BITS, P_BITS = 32, 16
"""Bits of a probability: Table 2's uplink is that of fp32, Table 1's downlink that of fp16."""
Link = tuple[int, int]
"""T_NTT in ms, rate in Mbit/s."""


@dataclass(frozen=True)
class Pair:
    """A draft and a target of the paper: OPT-125M, and one of two."""

    name: str
    alpha: float
    """As the paper has it."""
    cost: float
    """c = T_SLM / T_LLM on equal hardware, as the paper has it."""
    rounds: int
    """Those that Table 2's T_com at γ = 8 consist of."""
    seed: int
    """The first whose texts have so many rounds, with DSD and with DSSD."""

    @property
    def implied_alpha(self) -> float:
        """The α at which the tokens over these rounds are E[N]."""
        return float(brentq(lambda a: expected_tokens(a, 8) - TOKENS / self.rounds, 0.01, 0.999))


SMALL = Pair("6.7B", 0.61, 0.1, 31, seed=68)
LARGE = Pair("13B", 0.53, 0.05, 46, seed=2)


@dataclass(frozen=True)
class Printed:
    """T_com in seconds, None in Table 3, and the speed-up."""

    com: float | None
    speed_up: float


@dataclass(frozen=True)
class Line:
    """A row of Table 2 or 3."""

    link: Link
    gamma: int
    dsd: Printed
    small: Printed
    large: Printed

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.link[0]} ms, {self.link[1]} Mbit/s, {self.gamma}"


def _line(link: Link, gamma: int, *figures: float) -> Line:
    dsd, small, large = (Printed(*figures[i : i + 2]) for i in (0, 2, 4))
    return Line(link, gamma, dsd, small, large)


TABLE_2 = (
    _line((0, 100), 8, 3.91, 1.51, 0.01, 2.28, 1.40, 1.67),
    _line((20, 100), 8, 4.60, 1.41, 0.62, 2.31, 9.21, 1.72),
    _line((50, 10), 8, 41.44, 0.43, 1.55, 2.19, 2.30, 1.62),
    _line((20, 50), 8, 8.59, 1.24, 0.62, 2.22, 0.92, 1.77),
    _line((50, 50), 8, 9.52, 1.08, 1.55, 1.97, 2.30, 1.70),
    _line((50, 10), 6, 8.12, 1.16, 0.40, 1.57, 2.01, 1.97),
)
TABLE_3 = tuple(
    Line(link, gamma, *(Printed(None, each) for each in speed_ups))
    for link, gamma, *speed_ups in (
        ((0, 100), 8, 0.88, 0.98, 1.17),
        ((20, 100), 8, 0.85, 0.92, 1.13),
        ((20, 50), 8, 0.72, 0.92, 1.12),
        ((20, 100), 4, 1.10, 1.11, 1.44),
        ((20, 100), 6, 1.12, 1.14, 1.58),
        ((20, 100), 8, 0.93, 1.04, 1.30),
    )
)
TABLE_1 = ((0.5, 0.7, 0.8, 0.9, 0.99), (2, 4, 6, 8))
"""α, which are ours, and γ."""

Method = Literal["dsd", "dssd"]


@dataclass(frozen=True)
class Column:
    """A method with a pair, as the tables have them, and the figures of a line that are its own."""

    method: Method
    pair: Pair

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method.upper()} {self.pair.name}"

    def printed(self, line: Line) -> Printed:
        """Its figures."""
        if self.method == "dsd":
            return line.dsd
        return line.small if self.pair is SMALL else line.large


COLUMNS = (Column("dsd", SMALL), Column("dssd", SMALL), Column("dssd", LARGE))


# --- What the paper's formulas say ----------------------------------------------------------------


def printed_com(method: Method, rounds: float, link: Link, gamma: int) -> float:
    """T_com as the paper charges it."""
    ntt, rate = link
    costs = Costs(draft=0, verify=0, uplink=rate * 1e6, downlink=math.inf, round_trip=ntt / 1e3)
    if method == "dsd":
        return rounds * dsd_round_seconds(costs, gamma, VOCABULARY, DSD_BITS)
    return rounds * round_seconds(costs, gamma, 0, 0)


def charged_com(alpha: float, rounds: float, link: Link, gamma: int) -> float:
    """DSSD's T_com with p on the downlink: its own formula, (1 - α^γ) V b_p / R_down + T_NTT."""
    ntt, rate = link
    costs = Costs(draft=0, verify=0, uplink=math.inf, downlink=rate * 1e6, round_trip=ntt / 1e3)
    return rounds * dssd_round_seconds(costs, alpha, gamma, VOCABULARY, P_BITS)


def rounds_at(pair: Pair, gamma: int) -> float:
    """Return rounds that the text takes with γ; those of Table 2 at 8."""
    return TOKENS / expected_tokens(pair.implied_alpha, gamma)


def speed_up(rounds: float, drafts: float, com: float, verify: float, cost: float) -> float:
    """Against T_LLM a token, which the paper's target by itself takes."""
    return TOKENS * verify / (drafts * cost * verify + rounds * verify + com)


def formula_speed_up(column: Column, line: Line, verify: float, cost: float) -> float:
    """As the paper charges it."""
    rounds = rounds_at(column.pair, line.gamma)
    com = printed_com(column.method, rounds, line.link, line.gamma)
    return speed_up(rounds, rounds * line.gamma, com, verify, cost)


def fitted_verify(pair: Pair) -> float:
    """T_LLM in seconds that comes closest to the speed-ups of a pair in Table 2 at γ = 8."""
    mine = [
        (column, line)
        for column in COLUMNS for line in TABLE_2 if column.pair is pair and line.gamma == 8
    ]  # fmt: skip

    def residuals(logs: Any) -> list[float]:
        verify = math.exp(logs[0])
        return [
            math.log(formula_speed_up(c, li, verify, pair.cost) / c.printed(li).speed_up)
            for c, li in mine
        ]

    return math.exp(least_squares(residuals, [math.log(0.1)]).x[0])


def fitted_cost(pair: Pair, verify: float) -> float:
    """c that comes closest to the speed-ups of a pair in Table 3."""
    mine = [(column, line) for column in COLUMNS for line in TABLE_3 if column.pair is pair]

    def residuals(logs: Any) -> list[float]:
        cost = math.exp(logs[0])
        return [
            math.log(formula_speed_up(c, li, verify, cost) / c.printed(li).speed_up)
            for c, li in mine
        ]

    return math.exp(least_squares(residuals, [math.log(0.2)]).x[0])
