"""The sysctls of hosts that TCP depends on: Linux's defaults, whatever this machine's are.

A network namespace takes some from the machine (tcp_rmem, tcp_wmem), others from the kernel, whose
defaults differ between versions.
"""

from __future__ import annotations

from testbed.emulation.mininet_link import QUIET_NAMESPACE
from testbed.emulation.namespace import Namespace

HOST_SYSCTLS = {
    **QUIET_NAMESPACE,
    # TCP does not reuse what an earlier connection has measured of the path.
    "net.ipv4.tcp_no_metrics_save": "1",
    # What a segment says, and what is negotiated: no ECN unless the other end asks for it.
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_window_scaling": "1",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_ecn": "2",
    "net.ipv4.tcp_mtu_probing": "0",
    # How losses are found: RACK, tail loss probes, F-RTO, and time-outs that double.
    "net.ipv4.tcp_recovery": "1",
    "net.ipv4.tcp_early_retrans": "3",
    "net.ipv4.tcp_frto": "2",
    "net.ipv4.tcp_reordering": "3",
    "net.ipv4.tcp_max_reordering": "300",
    "net.ipv4.tcp_thin_linear_timeouts": "0",
    # How many acknowledgements are left out while segments are missing.
    "net.ipv4.tcp_comp_sack_delay_ns": "1000000",
    "net.ipv4.tcp_comp_sack_nr": "44",
    # How much is sent at once. The sizes are those of Linux 5.0 to 6.15; later ones are larger.
    "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_autocorking": "1",
    "net.ipv4.tcp_min_tso_segs": "2",
    "net.ipv4.tcp_limit_output_bytes": "1048576",
    "net.ipv4.tcp_moderate_rcvbuf": "1",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
}
"""Set on every host, and read back; every kernel since 5.0 has them."""

NEWER_SYSCTLS = {
    "net.ipv4.tcp_comp_sack_slack_ns": "100000",  # since 5.8
    # How often data must answer data before acknowledgements are delayed, since 6.7. Before, it was
    # a constant: 3 from 5.1 to 5.19, otherwise 1.
    "net.ipv4.tcp_pingpong_thresh": "1",
    # Bounds of the retransmission time-out, since 6.11 and 6.15; routes have the first one dilated.
    "net.ipv4.tcp_rto_min_us": "200000",
    "net.ipv4.tcp_rto_max_ms": "120000",
}
"""Likewise where the kernel has them; one that lacks them does what it was built to do."""


def set_host_sysctls(host: Namespace) -> None:
    """Set all that this kernel has, and read them back; raise TestbedError if one differs."""
    newer = {key: NEWER_SYSCTLS[key] for key in host.sysctls(NEWER_SYSCTLS)}
    host.set_sysctls(HOST_SYSCTLS | newer)


def host_sysctls(host: Namespace) -> dict[str, str | None]:
    """Return the values in force; None for what this kernel lacks."""
    keys = [*HOST_SYSCTLS, *NEWER_SYSCTLS, "net.ipv4.ip_forward"]
    found = host.sysctls(keys)
    return {key: found.get(key) for key in keys}
