"""Named links, each value with its source.

A value that nobody has published is marked as an engineering preset. A one-way delay is half of a
measured round trip, which includes the wired path to a nearby server, because one-way delays are
not published.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from testbed.config.sourced_value import PRESET, SourcedValue
from testbed.errors import TestbedError
from testbed.links.spec import Duplex, LinkSpec

_ERRANT = "ERRANT sample of MONROE, Norway and Sweden"
_SPEEDTEST = "SIGCOMM'21 5G artifact, US 2020-21, server within 100 km"
_RACA = "Raca et al. 5G/LTE set, stdev within a sample 2 to 4 ms (± 5 ms uniform has 2.9 ms)"
_PANTHEON = "Pantheon's fitted cellular paths lose nothing at random; loss shows as delay"
_LEO = "LeoReplayer, called empirical by its authors"
_ORBIT = "35,786 km up and down again at the speed of light"


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a link; None leaves a field at the default of LinkSpec."""

    rate: SourcedValue
    delay: SourcedValue
    jitter: SourcedValue | None = None
    loss: SourcedValue | None = None
    queue: SourcedValue | None = None

    def figures(self) -> dict[str, SourcedValue]:
        """Return the values that are given, by the key of a scenario."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: figure for name, figure in given if figure is not None}

    def mapping(self) -> dict[str, str | dict[str, str]]:
        """Return the direction as a scenario writes it."""
        return {name: figure.value for name, figure in self.figures().items()}


@dataclass(frozen=True, slots=True)
class Profile:
    """A named link."""

    name: str
    description: str
    up: Direction
    down: Direction

    @property
    def measured(self) -> bool:
        """True if rates and delays of both directions come from published measurements."""
        return all(
            figure.source != PRESET
            for direction in (self.up, self.down)
            for figure in (direction.rate, direction.delay)
        )

    def duplex(self) -> Duplex:
        """Return the link that the profile describes."""
        return Duplex(
            up=LinkSpec.parse(self.up.mapping(), f"profile {self.name}.up"),
            down=LinkSpec.parse(self.down.mapping(), f"profile {self.name}.down"),
        )


_NO_LOSS = SourcedValue("0%", PRESET)


def _radio(
    name: str,
    description: str,
    rates: tuple[str, str],
    round_trip_ms: float,
    *,
    jitter: SourcedValue,
    source: str,
) -> Profile:
    """Return a cellular link from median rates (up, down) and median round trip of one source."""
    delay = SourcedValue(f"{round_trip_ms / 2:g}ms", f"half of the median round trip; {source}")
    loss = SourcedValue("0%", _PANTHEON)
    up, down = (
        Direction(SourcedValue(rate, f"median; {source}"), delay, jitter, loss) for rate in rates
    )
    return Profile(name, description, up, down)


def _spread(p10_ms: float, p90_ms: float) -> SourcedValue:
    """Return the jitter of a direction, half that of round trips, from their percentiles (ms)."""
    return SourcedValue(
        f"{(p90_ms - p10_ms) / 4:g}ms", f"a quarter of p90 - p10 of the round trips; {_SPEEDTEST}"
    )


def _preset(
    name: str,
    description: str,
    rates: tuple[str, str],
    delay: SourcedValue,
    jitter: str,
    *,
    loss: SourcedValue = _NO_LOSS,
) -> Profile:
    """Return a link of which at most the delay has been published."""
    up, down = (
        Direction(SourcedValue(rate, PRESET), delay, SourcedValue(jitter, PRESET), loss)
        for rate in rates
    )
    return Profile(name, description, up, down)


_CORE = SourcedValue("5ms", _RACA)
_ALL = (
    _radio(
        "3g", "3G, good signal", ("2.7mbit", "15.3mbit"), 76,
        jitter=_CORE, source=f"{_ERRANT}, 3G good, n = 45",
    ),
    _radio(
        "lte_good", "LTE, RSSI above -75 dBm", ("14.9mbit", "29.8mbit"), 86,
        jitter=_CORE, source=f"{_ERRANT}, 4G good, n = 701",
    ),
    _radio(
        "lte_medium", "LTE, RSSI -85 to -75 dBm", ("3.5mbit", "23mbit"), 79,
        jitter=_CORE, source=f"{_ERRANT}, 4G medium, n = 202",
    ),
    _radio(
        "5g_nsa_low_band", "5G non-standalone, low band", ("66mbit", "91mbit"), 15,
        jitter=_spread(13, 16), source=f"{_SPEEDTEST}, Verizon NSA low band, n = 28",
    ),
    _radio(
        "5g_nsa_mmwave", "5G non-standalone, mmWave", ("79mbit", "1686mbit"), 7,
        jitter=_spread(6, 8), source=f"{_SPEEDTEST}, Verizon NSA mmWave, n = 77",
    ),
    _radio(
        "5g_sa", "5G standalone, low band", ("38mbit", "38mbit"), 57,
        jitter=_spread(44, 60), source=f"{_SPEEDTEST}, T-Mobile SA low band, n = 15",
    ),
    _preset(
        "wifi_good", "Wi-Fi in the same room", ("100mbit", "100mbit"),
        SourcedValue("1ms", PRESET), "1ms",
    ),
    _preset(
        "wifi_lossy", "Wi-Fi at the edge of its range", ("20mbit", "20mbit"),
        SourcedValue("3ms", PRESET), "3ms",
        loss=SourcedValue({"p": "2.5%", "r": "50%"}, f"4.8 % in bursts of 2: str0m's; {PRESET}"),
    ),
    Profile(
        "starlink",
        "low-orbit satellite",
        up=Direction(
            SourcedValue("15mbit", PRESET),
            SourcedValue("20ms", PRESET),
            SourcedValue("5ms", PRESET),
            SourcedValue("0.35%", f"middle of 0.2 to 0.5 %; {_LEO}"),
        ),
        down=Direction(
            SourcedValue("150mbit", PRESET),
            SourcedValue("20ms", PRESET),
            SourcedValue("5ms", PRESET),
            SourcedValue("0.01%", _LEO),
        ),
    ),
    _preset(
        "geo_satellite", "geostationary satellite", ("3mbit", "30mbit"),
        SourcedValue("239ms", _ORBIT), "5ms",
    ),
    _preset(
        "fibre", "100 km of glass fibre", ("1gbit", "1gbit"),
        SourcedValue("0.5ms", "100 km of glass at 5 µs/km"), "0ms",
    ),
    _preset(
        "metro_backhaul", "metropolitan network", ("1gbit", "1gbit"),
        SourcedValue("2ms", PRESET), "500us",
    ),
)  # fmt: skip

PROFILES = {profile.name: profile for profile in _ALL}
"""All profiles by name."""


def find_profile(name: str, where: str) -> Profile:
    """Return the profile called `name`. Raises TestbedError, beginning with `where`, if unknown."""
    if name not in PROFILES:
        raise TestbedError(f"{where}: '{name}' is not a profile; choose from {', '.join(PROFILES)}")
    return PROFILES[name]
