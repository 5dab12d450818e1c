"""The sending half of a connection.

The states are those of Linux's tcp_input.c, and so is the order of steps: SACK blocks, cumulative
acknowledgement, tail loss probe, losses (RACK), window, retransmissions, new data.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from testbed.simulation.tcp.congestion_window import UNLIMITED, CongestionWindow
from testbed.simulation.tcp.flight import Flight
from testbed.simulation.tcp.kernel_timer import KernelTimer
from testbed.simulation.tcp.rack import Rack
from testbed.simulation.tcp.reduction import Reduction
from testbed.simulation.tcp.rtt import RttEstimator
from testbed.simulation.tcp.scoreboard import FIRST_REORDERING, Scoreboard
from testbed.simulation.tcp.segment import Segment
from testbed.simulation.tcp.send_buffer import OVERHEAD, SendBuffer
from testbed.simulation.tcp.settings import TcpSettings
from testbed.simulation.tcp.undo import Undo

Transmit = Callable[[float, int, int, bool], None]
"""Sends a segment: the time, its first sequence number, its length, and PSH."""

_PROBE_INITIAL = 1.0  # seconds before a tail loss probe without a round trip
_LEAST_TICKS = 2  # Linux's TCP_TIMEOUT_MIN


class State(IntEnum):
    """Linux's states of congestion avoidance."""

    OPEN = 0
    DISORDER = 1
    REDUCED = 2
    RECOVERY = 3
    LOSS = 4


class Due(IntEnum):
    """The purposes of the retransmission timer."""

    NOTHING = 0
    RETRANSMISSION = 1
    PROBE = 2
    REORDERING = 3


# Plain integers: the members of an IntEnum are slow to compare.
_OPEN, _DISORDER, _REDUCED, _RECOVERY, _LOSS = map(int, State)
_NOTHING, _RETRANSMISSION, _PROBE, _REORDERING = map(int, Due)
_REDUCING = (_REDUCED, _RECOVERY)
_PROBED = (_OPEN, _REDUCED)
_KEEP, _SEND_LOST, _SEND_NEW = range(3)


class Sender:
    """Sends the bytes written, from sequence number 1 on, until all are acknowledged.

    transmit: sends a segment. All methods take the time in seconds.
    """

    __slots__ = (
        "_advanced",
        "_again",
        "_board",
        "_buffer",
        "_control",
        "_due",
        "_echo",
        "_edge",
        "_frto",
        "_last_sent",
        "_least_wait",
        "_mss",
        "_open",
        "_probe_end",
        "_probe_resent",
        "_rack",
        "_recovery_end",
        "_reduction",
        "_restarts",
        "_retransmissions",
        "_rto_min",
        "_state",
        "_timer",
        "_transmit",
        "_undo",
        "due_at",
        "next",
        "rtt",
        "una",
        "window",
    )

    def __init__(self, settings: TcpSettings, timer: KernelTimer, transmit: Transmit) -> None:
        self._mss = settings.mss
        self._rto_min = settings.rto_min
        self._restarts = settings.slow_start_after_idle
        self._timer = timer
        self._least_wait = _LEAST_TICKS * timer.tick
        self._transmit = transmit
        self.rtt = RttEstimator(settings.rto_min)
        self.window = CongestionWindow(settings.initial_window)
        self._undo = Undo(self.window)
        self._rack = Rack(self.rtt)
        self._board = Scoreboard(self._mss, self._rack, self._undo)
        self._buffer = SendBuffer(self.window, self.rtt, self._mss)
        self._reduction = Reduction(self.window)
        self._control = settings.control()(self.window, self.rtt, timer, self._mss)
        self._state = _OPEN
        self.una = 1
        """The first byte that is not acknowledged."""
        self.next = 1
        """The first byte that was never sent."""
        self._edge = 0
        self._open = False
        self._last_sent = 0.0
        self._recovery_end = 0
        self._probe_end: int | None = None
        self._probe_resent = False
        self._frto = False
        self._retransmissions = 0
        self._due = _NOTHING
        self.due_at: float | None = None
        """The time at which the retransmission timer expires."""
        self._advanced = False
        self._echo = 0

    @property
    def state(self) -> State:
        """The state of congestion avoidance."""
        return State(self._state)

    def open(self, now: float, window: int, rtt: float | None, *, cautious: bool) -> None:
        """Begin after the handshake.

        window: bytes that the peer takes. rtt: of the handshake, None if it is not known. cautious:
        True after several retransmissions of a SYN; the window is then one segment.
        """
        self._edge = self.una + window
        if rtt is not None:
            self.rtt.sample_minimum(now, rtt)
            self.rtt.sample(rtt, self.una, self.next)
        if cautious:
            self.window.segments = 1
        self._last_sent = now
        self._open = True
        self._buffer.largest_window(window)
        self._fill(now)

    def write(self, now: float, size: int) -> None:
        """Queue `size` more bytes, and send what may be sent."""
        if self._restarts and not self._board.flights:
            idle = now - self._last_sent
            if idle > self.rtt.rto:
                self.window.restart(now, idle, self.rtt.rto)
        waited = self._buffer.waiting
        self._buffer.waiting += size
        if not waited and self._open:
            self._fill(now)

    def acknowledge(self, now: float, segment: Segment) -> None:
        """Take in an acknowledgement, and retransmit what it shows to be lost.

        New data waits for `send`.
        """
        acknowledgement = segment.acknowledgement
        una = self.una
        if acknowledgement > self.next:
            return
        widened = acknowledgement + segment.window > self._edge
        if widened:
            self._edge = acknowledgement + segment.window
            self._buffer.largest_window(segment.window)
        board = self._board
        advanced = acknowledgement > una
        if not (advanced or board.flights or segment.blocks):
            return
        self._advanced = advanced
        self._echo = segment.echo
        board.begin()
        delivered, lost = board.delivered, board.total_lost
        if segment.blocks:
            board.sack(
                now,
                acknowledgement,
                una,
                segment.blocks,
                recovery_end=self._recovery_end,
                probe_end=self._probe_end,
            )
        rearm = False
        if board.flights:
            if advanced:
                self.una = acknowledgement
                self._retransmissions = 0
                board.acknowledge(now, acknowledgement, self._recovery_end)
                self._buffer.memory -= board.freed
            rearm = self._measure(now)
        self._again = _KEEP
        duplicate = not (segment.length or widened or board.acknowledged)
        if self._probe_end is not None:
            self._answer_probe(now, acknowledgement, duplicate=duplicate)
        if self._state != _OPEN or board.data_sacked or board.duplicate or duplicate:
            rearm = self._react(now, una, duplicate and not board.duplicate) and rearm
        if rearm:
            self._set_timer(now)
        self._adapt_window(now, board.delivered - delivered, lost=board.total_lost > lost)
        if self._again != _KEEP:
            self._send_again(now)

    def send(self, now: float) -> None:
        """Send new data, as far as both windows allow."""
        if self._buffer.unsent:
            self._send_new(now, UNLIMITED)
        if self._buffer.waiting and self._buffer.acknowledged():
            self._fill(now)

    def expire(self, now: float) -> None:
        """Do what the retransmission timer was set for."""
        if self._due == _PROBE:
            self._probe(now)
        elif self._due == _REORDERING:
            self._look_for_losses_again(now)
        else:
            self._time_out(now)

    # What was learned from an acknowledgement

    def _measure(self, now: float) -> bool:
        """Take in round trips; return True if the retransmission timer has to be set anew."""
        board = self._board
        if board.delivered_before:
            self._rack.adjust(board.delivered_before, board.delivered)
        first, last = board.first_sent, board.last_sent
        if first >= 0 and not board.resent_acknowledged:
            rtt, latest = now - first, now - last
        elif board.first_sacked >= 0:
            rtt, latest = now - board.first_sacked, now - board.last_sacked
        elif board.acknowledged and self._echo:
            rtt = latest = max(1, int(now * 1000) - self._echo) / 1000
        else:
            return board.acknowledged
        estimator = self.rtt
        estimator.sample_minimum(now, latest)
        estimator.sample(rtt, self.una, self.next)
        if latest > 0:
            self._control.sample(now, latest, self.una, self.next)
        if board.acknowledged:
            return True
        # A SACK of data sent after the first segment was sent last shows progress.
        return bool(board.flights) and now - board.first_sacked > now - board.flights[0].sent_at

    def _answer_probe(self, now: float, acknowledgement: int, *, duplicate: bool) -> None:
        """Take in what an acknowledgement says of a tail loss probe (RFC 8985, 7.4)."""
        board = self._board
        if self._probe_end is None or acknowledgement < self._probe_end:
            return
        if not self._probe_resent or board.duplicate_of_probe:
            self._probe_end = None
        elif acknowledgement > self._probe_end:
            self._begin_reduction()
            self._state = _REDUCED
            self._end_reduction(now)
            self._keep_open()
        elif duplicate and not (self._advanced or board.data_sacked):
            self._probe_end = None

    def _react(self, now: float, una_before: int, duplicate: bool) -> bool:
        """Change the state after an acknowledgement that is out of the ordinary.

        duplicate: it acknowledges nothing new. Returns False if the timer is set already.
        """
        board, undo = self._board, self._undo
        self._leave_state(now)
        state = self._state
        if state == _RECOVERY:
            if self._advanced and self._undo_partly(now, una_before):
                return True
            if undo.all_answered:
                self._undo_spurious(now)
                self._try_to_open()
        elif state == _LOSS:
            self._advance_loss(now, duplicate)
        elif state <= _DISORDER and undo.all_answered:
            self._undo_spurious(now)
        quiet, lost_again = self._find_losses(now)
        if state == _LOSS and not (self._state == _OPEN or lost_again):
            return quiet
        if state != _RECOVERY or self._state != _RECOVERY:
            if not board.lost:
                if state != _RECOVERY:
                    self._try_to_open()
                return quiet
            self._enter_recovery()
        self._again = _SEND_LOST
        return quiet

    def _leave_state(self, now: float) -> None:
        """Leave a state whose end is acknowledged."""
        if self._state == _OPEN:
            self._undo.first_resent = None
        elif self.una < self._recovery_end:
            return
        elif self._state == _REDUCED:
            if self.una != self._recovery_end:
                self._end_reduction(now)
                self._state = _OPEN
        elif self._state == _RECOVERY and not self._undo_recovery(now):
            self._end_reduction(now)

    def _adapt_window(self, now: float, delivered: int, *, lost: bool) -> None:
        """Shrink the window in a recovery, or else let it grow."""
        board = self._board
        if self._state in _REDUCING:
            self._reduction.apply(
                delivered, board.under_way, advanced_without_loss=self._advanced and not lost
            )
        elif board.acknowledged or (board.data_sacked and board.reordering > FIRST_REORDERING):
            self._control.grow(now, delivered)

    def _find_losses(self, now: float) -> tuple[bool, bool]:
        """Mark losses; return False, * if the timer is set for it, *, True if resent ones are."""
        board = self._board
        if not board.flights or not self._rack.advanced:
            return True, False
        self._rack.advanced = False
        resent = board.resent
        again = board.detect_losses(now, recovering=self._state >= _RECOVERY)
        if again:
            self._arm(now, _REORDERING, again + self._least_wait)
        return not again, board.resent < resent

    # States

    def _begin_reduction(self) -> None:
        self._recovery_end = self.next
        self._probe_end = None
        self._reduction.begin(self._control.reduced())

    def _end_reduction(self, now: float) -> None:
        window = self.window
        if window.threshold < UNLIMITED and (
            self._state == _REDUCED or self._undo.marker is not None
        ):
            window.set(now, window.threshold)

    def _enter_recovery(self) -> None:
        undo = self._undo
        undo.forget()
        undo.begin(self.una, self._resent_under_way())
        if self._state != _REDUCED:
            undo.remember()
            self._begin_reduction()
        self._state = _RECOVERY

    def _resent_under_way(self) -> int:
        return self._board.resent + (self._probe_end is not None and self._probe_resent)

    def _undo_recovery(self, now: float) -> bool:
        """End a recovery that is complete, and undo it if it was spurious; return True then."""
        spurious = self._undo.possible(self._echo)
        if spurious:
            self._undo.apply(now)
            self._rack.advanced = True
        else:
            self._rack.recovered(spurious=False)
        self._state = _OPEN
        return spurious

    def _undo_spurious(self, now: float) -> None:
        self._rack.recovered(spurious=True)
        self._undo.apply(now)
        self._rack.advanced = True

    def _undo_partly(self, now: float, una_before: int) -> bool:
        """Undo a recovery whose first hole was filled by the original; return True to stop."""
        undo, board = self._undo, self._board
        if undo.marker is None or not undo.delayed(self._echo):
            return False
        board.reorder(una_before)
        if board.resent:
            return True
        if not any(flight.ever_resent for flight in board.flights):
            undo.first_resent = None
        board.unmark_lost()
        undo.apply(now)
        self._rack.advanced = True
        self._keep_open()
        return False

    def _try_to_open(self) -> None:
        if self._state != _REDUCED:
            self._keep_open()

    def _keep_open(self) -> None:
        board = self._board
        resent = bool(board.flights) and board.flights[0].ever_resent
        state = _DISORDER if board.sacked or board.lost or board.resent or resent else _OPEN
        if state != self._state:
            self._state = state
            self._recovery_end = self.next

    def _advance_loss(self, now: float, duplicate: bool) -> None:
        """Go on after a time-out: spurious (RFC 3522, RFC 5682), recovered, or still lossy."""
        board = self._board
        if self._advanced and self._undo_loss(now, certain=False):
            return
        recovered = self.una >= self._recovery_end
        if self._frto:
            if board.original_delivered and self._undo_loss(now, certain=True):
                return
            if self.next > self._recovery_end:
                if board.data_sacked or duplicate:
                    self._frto = False
            elif self._advanced and not recovered:
                self._recovery_end = self.next
                if self._buffer.unsent and self._edge > self.next:
                    self._again = _SEND_NEW
                    return
                self._frto = False
        if recovered:
            self._undo_recovery(now)
            return
        self._again = _SEND_LOST

    def _undo_loss(self, now: float, *, certain: bool) -> bool:
        if not (certain or self._undo.possible(self._echo)):
            return False
        self._board.unmark_lost()
        self._undo.apply(now)
        self._rack.advanced = True
        self._retransmissions = 0
        self._state = _OPEN
        return True

    # Sending

    def _fill(self, now: float) -> None:
        """Take what the application has to write, as far as the send buffer allows, and send."""
        while segments := self._buffer.accept():
            self._send_new(now, segments)

    def _send_new(self, now: float, most: int) -> None:
        """Send up to `most` segments of new data."""
        board, window, mss = self._board, self.window, self._mss
        buffer = self._buffer
        room = window.segments - board.under_way
        allowed = min(room, most)
        sent = 0
        full = False
        unsent = buffer.unsent
        together = buffer.segments_per_buffer()
        while unsent and sent < allowed:
            size = mss if unsent > mss else unsent
            if self.next + size > self._edge:
                size = self._edge - self.next  # what the receiver still takes follows a full one
                if size <= 0 or not full:
                    break
            unsent -= size
            buffer.unsent = unsent
            sent += 1
            last = sent % together == 0 or sent == allowed or not unsent
            self._send_segment(now, size, size + OVERHEAD if last else size)
            full = size == mss
        limited = bool(unsent) and sent >= room
        if sent or limited:
            state = self._state
            if sent:
                if state in _REDUCING:
                    self._reduction.sent += sent
                self._schedule_probe(now, advancing=False)
            flights = board.flights
            limited = limited or board.under_way >= window.segments
            window.validate(
                now,
                self.rtt.rto,
                limited=limited,
                out=len(flights),
                acknowledged=self.una,
                next_sequence=self.next,
                may_shrink=self._restarts and state == _OPEN,
            )

    def _send_segment(self, now: float, size: int, memory: int) -> None:
        board = self._board
        flights = board.flights
        if not board.under_way:
            self._control.begin_flight(now, self._last_sent)
        start = self.next
        self.next = end = start + size
        push = not self._buffer.unsent
        self._buffer.memory += memory
        flight = Flight(
            start,
            end,
            now,
            order=board.transmissions,
            delivered=board.delivered,
            memory=memory,
            push=push,
        )
        board.transmissions += 1
        flights.append(flight)
        self._last_sent = now
        self._transmit(now, start, size, push)
        if len(flights) == 1 or self._due == _PROBE:
            self._set_retransmission(now)

    def _resend(self, now: float, flight: Flight) -> None:
        board = self._board
        self._undo.resent(int(now * 1000))
        if not flight.resent:
            flight.resent = True
            board.resent += 1
        self._transmit_again(now, flight)

    def _transmit_again(self, now: float, flight: Flight) -> None:
        board = self._board
        flight.ever_resent = True
        flight.sent_at = now
        flight.order = board.transmissions
        board.transmissions += 1
        flight.delivered = board.delivered
        board.total_resent += 1
        self._last_sent = now
        self._transmit(now, flight.start, flight.end - flight.start, flight.push)

    def _send_again(self, now: float) -> None:
        """Retransmit what is lost, or, after F-RTO's first step, send new data."""
        if self._again == _SEND_NEW:
            self._send_new(now, UNLIMITED)
            if self.next > self._recovery_end:
                return
            self._frto = False
        self._resend_lost(now)

    def _resend_lost(self, now: float) -> None:
        board = self._board
        if not board.lost:
            return
        room = self.window.segments - board.under_way
        rearm = False
        first = board.flights[0]
        for flight in board.flights:
            if room <= 0:
                break
            if not flight.lost or flight.resent or flight.sacked:
                continue
            self._resend(now, flight)
            room -= 1
            if self._state in _REDUCING:
                self._reduction.sent += 1
            if flight is first and self._due != _REORDERING:
                rearm = True
        if rearm:
            self._arm(now, _RETRANSMISSION, self.rtt.rto)

    # Timers

    def _arm(self, now: float, due: int, seconds: float) -> None:
        self._due = due
        self.due_at = self._timer.expiry(now, seconds)

    def _set_timer(self, now: float) -> None:
        if not self._schedule_probe(now, advancing=True):
            self._set_retransmission(now)

    def _set_retransmission(self, now: float) -> None:
        """Set the timer to the time-out, after RACK's timer from the first segment on."""
        flights = self._board.flights
        if not flights:
            self._due, self.due_at = _NOTHING, None
            return
        seconds = self.rtt.rto
        if self._due in {_PROBE, _REORDERING}:
            seconds = max(flights[0].sent_at + seconds - now, 0.0)
        self._arm(now, _RETRANSMISSION, seconds)

    def _schedule_probe(self, now: float, *, advancing: bool) -> bool:
        """Set the timer for a tail loss probe (RFC 8985, 7.2); return False if none is due."""
        flights = self._board.flights
        if not flights or self._state not in _PROBED:
            return False
        smoothed = self.rtt.smoothed
        if smoothed:
            seconds = 2 * smoothed
            seconds += self._rto_min if len(flights) == 1 else self._least_wait
        else:
            seconds = _PROBE_INITIAL
        rto = self.rtt.rto if advancing else flights[0].sent_at + self.rtt.rto - now
        if 0 < rto < seconds:
            seconds = rto
        self._arm(now, _PROBE, seconds)
        return True

    def _probe(self, now: float) -> None:
        """Send one new segment, or else the last one again, so that a SACK shows what is lost."""
        if self._probe_end is None:
            board = self._board
            size = min(self._buffer.unsent, self._mss)
            if size and self.next + size <= self._edge:
                self._probe_resent = False
                self._buffer.unsent -= size
                self._send_segment(now, size, size + OVERHEAD)
            else:
                self._probe_resent = True
                self._transmit_again(now, board.flights[-1])
            self._probe_end = self.next
            self._due = _NOTHING  # the time-out counts from now on
        self._set_retransmission(now)

    def _look_for_losses_again(self, now: float) -> None:
        """Mark what RACK's reordering window has kept; retransmit it."""
        board = self._board
        under_way, lost = board.under_way, board.total_lost
        board.detect_losses(now, recovering=self._state >= _RECOVERY)
        if board.under_way != under_way:
            if self._state != _RECOVERY:
                self._enter_recovery()
                self._reduction.apply(
                    1, board.under_way, advanced_without_loss=board.total_lost == lost
                )
            self._resend_lost(now)
        if self._due != _RETRANSMISSION:
            self._set_retransmission(now)

    def _time_out(self, now: float) -> None:
        """Take what is old for lost, begin at a window of one, and retransmit the first segment."""
        board, undo, window = self._board, self._undo, self.window
        fresh = self._state < _RECOVERY
        board.mark_timed_out(now)
        if (
            self._state <= _DISORDER
            or self._recovery_end <= self.una
            or (self._state == _LOSS and not self._retransmissions)
        ):
            undo.remember()
            window.threshold = self._control.reduced()
            undo.begin(self.una, self._resent_under_way())
        self._control.time_out()
        window.set(now, board.under_way + 1)
        window.credit = 0
        self._state = _LOSS
        self._recovery_end = self.next
        self._probe_end = None
        self._frto = fresh or self._retransmissions > 0
        self._retransmissions += 1
        self._resend(now, board.flights[0])
        self.rtt.back_off()
        self._arm(now, _RETRANSMISSION, self.rtt.rto)
