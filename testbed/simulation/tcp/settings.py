"""Settings of a host's TCP; the defaults are Linux's, as emulated hosts have them set."""

from __future__ import annotations

import msgspec

from testbed.config.by_file import find_named
from testbed.config.written import FieldError
from testbed.simulation.tcp.congestion_controls.base import CongestionControl
from testbed.simulation.tcp.segment import OPTIONS

_CONTROLS = find_named(
    "testbed.simulation.tcp.congestion_controls",
    CongestionControl,  # type: ignore[type-abstract]
)

CONGESTION_CONTROLS = tuple(_CONTROLS)
"""The congestion controls that are modelled, by Linux's names."""

_IP_AND_TCP = 40  # bytes of the two headers without options


class TcpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one end; times in seconds.

    Raises FieldError for a congestion control that is not modelled.
    """

    congestion_control: str = "cubic"
    """net.ipv4.tcp_congestion_control."""
    mtu: int = 1500
    """Bytes of the largest IP packet on the path."""
    initial_window: int = 10
    """Segments; RFC 6928."""
    rto_min: float = 0.2
    """net.ipv4.tcp_rto_min_us."""
    slow_start_after_idle: bool = True
    """net.ipv4.tcp_slow_start_after_idle."""
    receive_buffer: int = 131072
    """The second value of net.ipv4.tcp_rmem, bytes."""
    largest_receive_buffer: int = 6291456
    """The third value of net.ipv4.tcp_rmem, bytes."""
    tick: float = 0.004
    """The period of the kernel's timer interrupt, 1 / CONFIG_HZ."""

    def __post_init__(self) -> None:
        if self.congestion_control not in _CONTROLS:
            raise FieldError(
                "congestion_control",
                f"{self.congestion_control!r} is not modelled in virtual time; "
                f"choose from {', '.join(CONGESTION_CONTROLS)}",
            )

    @property
    def mss(self) -> int:
        """The most bytes of data in a segment with timestamps."""
        return self.mtu - _IP_AND_TCP - OPTIONS

    @property
    def advertised_mss(self) -> int:
        """The MSS option of the SYN, which does not count options (RFC 6691)."""
        return self.mtu - _IP_AND_TCP

    def control(self) -> type[CongestionControl]:
        """Return the class of the congestion control."""
        return _CONTROLS[self.congestion_control]
