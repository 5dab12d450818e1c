"""One end of a TCP connection: handshake (RFC 9293), and both halves joined."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.receiver import Receiver
from testbed.simulation.tcp.segment import Block, Segment, blocks_size
from testbed.simulation.tcp.sender import Sender
from testbed.simulation.tcp.settings import TcpSettings

_SYN_TIMEOUT = 1.0  # seconds, RFC 6298
_LINEAR_SYNS = 4  # net.ipv4.tcp_syn_linear_timeouts
_TIMEOUT_MAX, _MOST_DOUBLINGS = 120.0, 7


class _Phase(Enum):
    CLOSED = auto()
    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    ESTABLISHED = auto()


class TcpEnd:
    """A TCP end as a state machine: the caller carries segments, and passes the time in seconds.

    send: sends a segment to the other end. deliver: receives the time and the total of bytes that
    the application has in order; it may call `write`.

    An end that does not call `connect` waits for the other one's SYN. The application reads at
    once, and never closes the connection.
    """

    __slots__ = (
        "_deliver",
        "_mss",
        "_phase",
        "_receiver",
        "_send",
        "_sender",
        "_syn_due",
        "_syn_sent",
        "_syns",
        "_timer",
    )

    def __init__(
        self,
        settings: TcpSettings,
        send: Callable[[Segment], None],
        deliver: Callable[[float, int], None],
    ) -> None:
        self._send = send
        self._deliver = deliver
        self._mss = settings.mss
        self._timer = KernelTimer(settings.tick)
        self._sender = Sender(settings, self._timer, self._transmit)
        self._receiver = Receiver(settings, self._timer, self._sender.rtt)
        self._phase = _Phase.CLOSED
        self._syn_due: float | None = None
        self._syn_sent = 0.0
        self._syns = 0

    @property
    def established(self) -> bool:
        """True once the handshake is complete for this end."""
        return self._phase is _Phase.ESTABLISHED

    @property
    def sender(self) -> Sender:
        """The sending half."""
        return self._sender

    def connect(self, now: float) -> None:
        """Send a SYN."""
        self._phase = _Phase.SYN_SENT
        self._send_syn(now)

    def write(self, now: float, size: int) -> None:
        """Write `size` more bytes of the stream (with TCP_NODELAY); they wait for the handshake."""
        self._sender.write(now, size)

    def arrive(self, now: float, segment: Segment) -> None:
        """Take in a segment whose checksum is right."""
        if segment.syn or self._phase is not _Phase.ESTABLISHED:
            self._shake_hands(now, segment)
            if segment.syn or self._phase is not _Phase.ESTABLISHED:
                return
        receiver, sender = self._receiver, self._sender
        receiver.note_timestamp(segment)
        sender.acknowledge(now, segment)
        advanced = False
        if segment.length:
            held = receiver.gap
            advanced = receiver.take(now, segment)
        sender.send(now)
        acknowledger = receiver.acknowledger
        if acknowledger.owed and acknowledger.wants(
            now,
            receiver.unacknowledged,
            receiver.next,
            gap=receiver.gap,
            with_gaps=bool(segment.length) and (held or not advanced),
        ):
            self._acknowledge(now)
        if advanced:
            total = receiver.next - 1
            receiver.window.read(now, total)
            if acknowledger.wants_after_reading(receiver.unacknowledged):
                self._acknowledge(now)
            self._deliver(now, total)

    def next_timer(self) -> float | None:
        """Return the time at which `expire` has something to do, or None."""
        acknowledger = self._receiver.acknowledger
        earliest = self._sender.due_at
        for due in (acknowledger.due_at, acknowledger.compressed_due, self._syn_due):
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def expire(self, now: float) -> None:
        """Do everything that is due."""
        acknowledger = self._receiver.acknowledger
        if (due := self._syn_due) is not None and due <= now:
            self._send_syn(now)
        if (due := acknowledger.compressed_due) is not None and due <= now:
            self._acknowledge(now)
        if (due := acknowledger.due_at) is not None and due <= now:
            acknowledger.expired()
            self._acknowledge(now)
        if (due := self._sender.due_at) is not None and due <= now:
            self._sender.expire(now)

    def _shake_hands(self, now: float, segment: Segment) -> None:
        receiver = self._receiver
        if segment.syn:
            if self._phase is _Phase.ESTABLISHED:
                self._acknowledge(now)  # a SYN of before, again
                return
            receiver.begin(segment.timestamp)
            if self._phase is _Phase.SYN_SENT and segment.acknowledgement:
                self._acknowledge(now)
                self._establish(now, segment)
            else:
                self._phase = _Phase.SYN_RECEIVED
                self._send_syn(now)
        elif self._phase is _Phase.SYN_RECEIVED and segment.acknowledgement:
            self._establish(now, segment)

    def _establish(self, now: float, segment: Segment) -> None:
        if self._syns == 1:
            rtt: float | None = now - self._syn_sent
        elif segment.echo:
            rtt = max(1, int(now * 1000) - segment.echo) / 1000
        else:
            rtt = None
        self._syn_due = None
        self._phase = _Phase.ESTABLISHED
        self._receiver.open(now)
        self._sender.open(now, segment.window, rtt, cautious=self._syns > 2)

    def _send_syn(self, now: float) -> None:
        """Send a SYN, or a SYN with an acknowledgement, and set its timer."""
        self._syns += 1
        self._syn_sent = now
        doublings = self._syns - 1
        if self._phase is _Phase.SYN_SENT:
            doublings = max(0, doublings - _LINEAR_SYNS)
        timeout = min(_SYN_TIMEOUT * 2 ** min(doublings, _MOST_DOUBLINGS), _TIMEOUT_MAX)
        self._syn_due = self._timer.expiry(now, timeout)
        receiver = self._receiver
        window, _ = receiver.acknowledge()
        self._send(
            Segment(
                0,
                0,
                receiver.next,
                window,
                (),
                timestamp=int(now * 1000),
                echo=receiver.echo,
                syn=True,
            )
        )

    def _acknowledge(self, now: float) -> None:
        receiver = self._receiver
        window, blocks = receiver.acknowledge()
        self._send(
            Segment(
                self._sender.next,
                0,
                receiver.next,
                window,
                blocks,
                timestamp=int(now * 1000),
                echo=receiver.echo,
            )
        )

    def _transmit(self, now: float, sequence: int, length: int, push: bool) -> None:
        """Send data; what SACK blocks leave no room for follows in a segment of its own."""
        receiver = self._receiver
        receiver.acknowledger.sent_data(now)
        window, blocks = receiver.acknowledge()
        if blocks and length > (most := self._mss - blocks_size(blocks)):
            self._send_data(now, sequence, most, window, blocks, push=False)
            sequence, length, blocks = sequence + most, length - most, ()
        self._send_data(now, sequence, length, window, blocks, push=push)

    def _send_data(
        self,
        now: float,
        sequence: int,
        length: int,
        window: int,
        blocks: tuple[Block, ...],
        *,
        push: bool,
    ) -> None:
        receiver = self._receiver
        self._send(
            Segment(
                sequence,
                length,
                receiver.next,
                window,
                blocks,
                timestamp=int(now * 1000),
                echo=receiver.echo,
                push=push,
            )
        )
