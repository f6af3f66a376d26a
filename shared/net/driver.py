"""Runs one transfer machine over a port: feeds it datagrams and time, sends what it has, says when it is over."""

import logging
from collections.abc import Callable
from typing import Final

import anyio

from shared.net.lazy_timer import LazyTimer
from shared.net.port import Port
from shared.net.udp import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, Address, Batch
from shared.transfer import ReceivingTransfer, SendingTransfer, TransferState

log = logging.getLogger(__name__)

TRAINS_PER_PUMP: Final = 4
"""System calls' worth of datagrams before others get their turn."""


class TransferDriver:
    """Base of both directions. It works in callbacks of its port and its timer, so it needs no task of its own, and
    goes on after its owner has stopped waiting, until the other side has the closing frame."""

    def __init__(
        self,
        machine: SendingTransfer | ReceivingTransfer,
        *,
        port: Port,
        parent: Port,
        remote: Address | None,
        clock: Callable[[], float],
        datagram_bytes: int,
        release: Callable[[Port], None],
        on_finished: Callable[[], None],
    ) -> None:
        """`port` may be the parent port. `release` takes a worker port back once it is of no use; `on_finished` is
        called when nothing is left to send or to answer."""
        self.machine = machine
        self.ended = anyio.Event()
        """Set when the state is final or the transfer was abandoned."""
        self.abandoned: str | None = None
        """Why this side dropped the transfer without telling the other."""
        self.finished = False
        self.ended_at = 0.0
        self.on_progress: Callable[[int], None] | None = None
        """Called with bytes that have arrived whenever there are more."""
        self.moved_at = clock()
        """When the other side last moved the transfer on."""
        self.alive_at = self.moved_at
        """When the session of the transfer was last kept from idling out."""
        self._progress = machine.progress[0]
        self._port = port
        self._parent = parent
        self._remote = remote
        self._clock = clock
        self._release = release
        self._on_finished = on_finished
        self._timer = LazyTimer(self.pump, clock)
        self._train = max(min(MAX_TRAIN_DATAGRAMS, MAX_TRAIN_BYTES // datagram_bytes), 1)
        self._waits_for_room = False
        if port is not parent:
            port.on_batch = self._feed_from_worker

    def feed(self, batch: Batch, port: Port) -> None:
        """Take datagrams that arrived at `port`, then send what is due."""
        raise NotImplementedError

    def pump(self) -> None:
        """Send what may leave now, tell about progress and the end, set the timer."""
        if self.finished:
            return
        try:
            self.machine.tick(self._clock())
            may_send_more = self._send()
            self._report()
        except Exception:
            log.exception("a transfer failed by a fault of this side")
            self.abandon("This side failed; see its log.")
            return
        if self.machine.finished:
            self._finish()
        else:
            self._timer.set(self._clock() if may_send_more else self._next_deadline())

    def cancel(self, reason: str) -> None:
        """End the transfer and tell the other side."""
        if not self.finished:
            self.machine.cancel(reason, self._clock())
            self.pump()

    def give_up(self, reason: str) -> None:
        """Like `cancel`, but the object may be taken up again."""
        if not self.finished:
            self.machine.give_up(reason, self._clock())
            self.pump()

    def abandon(self, reason: str) -> None:
        """Drop the transfer at once; the other side finds out by silence or by other means."""
        if self.finished:
            return
        if self.machine.state is TransferState.OPEN:
            self.abandoned = reason
        self._finish()

    def _feed_from_worker(self, batch: Batch) -> None:
        self.feed(batch, self._port)

    def _send(self) -> bool:
        """Send up to some trains; return whether there may be more to send at once."""
        for _ in range(TRAINS_PER_PUMP):
            if self._remote is None:
                return False
            if self._port.blocked:
                if not self._waits_for_room:
                    self._waits_for_room = True
                    self._port.on_writable.append(self._room)
                return False
            datagrams = self.machine.take_datagrams(self._clock(), self._train)
            if not datagrams:
                return False
            self._port.send_run(self._remote, datagrams)
        return True

    def _room(self) -> None:
        self._waits_for_room = False
        self.pump()

    def _report(self) -> None:
        progress = self.machine.progress[0]
        if progress > self._progress:
            self._progress = progress
            self.moved_at = self._clock()
            if self.on_progress is not None:
                try:
                    self.on_progress(progress)
                except Exception:
                    self.on_progress = None
                    log.exception("a report of progress failed; there will be no more of this transfer")
        if self.machine.state is not TransferState.OPEN and not self.ended.is_set():
            self.ended_at = self._clock()
            self.ended.set()

    def _next_deadline(self) -> float | None:
        return self.machine.next_deadline()

    def _use_parent(self, remote: Address) -> None:
        """Go on between the parent ports: a worker port cannot be reached."""
        log.info("a worker port cannot be reached; the parent port carries the transfer")
        self._remote = remote
        if self._port is not self._parent:
            worker, self._port = self._port, self._parent
            self._waits_for_room = False
            self._release(worker)

    def _finish(self) -> None:
        self.finished = True
        self._timer.stop()
        if self._port is not self._parent:
            self._release(self._port)
        self.ended.set()
        self._on_finished()


class SendingDriver(TransferDriver):
    """Sends to the port that the receiver announced, and to its parent port where nothing comes back."""

    machine: SendingTransfer

    def fall_back(self, remote: Address, after_s: float) -> None:
        """Go on between the parent ports, to `remote`, if nothing is acknowledged for `after_s` seconds."""
        self._parent_remote = remote
        self._patience_s: float = after_s

    def moved(self, address: Address) -> None:
        """The session has another address: go on there, in the same way as before."""
        if self._remote == self._parent_remote:
            self._remote = address
        elif self._remote is not None:
            self._remote = address[0], self._remote[1]
        self._parent_remote = address
        self.machine.path_changed(self._clock())
        self.pump()

    def confirm(self) -> None:
        """The receiver says in the session that it has the object."""
        if not self.finished:
            self.machine.confirmed()
            self.pump()

    def feed(self, batch: Batch, port: Port) -> None:  # noqa: ARG002
        """See `TransferDriver`. Only what authenticates counts, wherever it seems to come from."""
        if self.finished:
            return
        now = self._clock()
        for _, datagram in batch:
            self.machine.receive(datagram, now)
        self.pump()

    def pump(self) -> None:
        """See `TransferDriver`."""
        if self._may_fall_back and self._clock() >= self.moved_at + self._patience_s:
            self._use_parent(self._parent_remote)
            self.machine.path_changed(self._clock())
        super().pump()

    @property
    def _may_fall_back(self) -> bool:
        is_open = self.machine.state is TransferState.OPEN and not self.finished
        return is_open and (self._port is not self._parent or self._remote != self._parent_remote)

    def _next_deadline(self) -> float | None:
        deadline = self.machine.next_deadline()
        if deadline is not None and self._may_fall_back:
            return min(deadline, self.moved_at + self._patience_s)
        return deadline


class ReceivingDriver(TransferDriver):
    """Answers to where the last authentic datagram of the sender came from, if that is the host of the session.

    In a session that roams each side chooses its own path: what is authentic counts wherever it comes from, and answers
    go where the session goes.
    """

    machine: ReceivingTransfer
    _host: str
    """Of the session; what comes from other hosts is dropped, so that acknowledgements cannot be directed at them."""
    _roams: bool

    def follow(self, address: Address, *, roams: bool) -> None:
        """Say where the session goes, before anything is fed."""
        self._host, self._roams = address[0], roams
        if roams:
            self._remote = address

    def moved(self, address: Address) -> None:
        """The session has another address: the sender's next datagram tells from which port it goes on."""
        if self._roams:
            self._remote = address
            self.pump()
        elif address[0] != self._host:
            self._host = address[0]
            self._remote = None

    def feed(self, batch: Batch, port: Port) -> None:
        """See `TransferDriver`."""
        if self.finished:
            return
        now = self._clock()
        receive = self.machine.receive
        for address, datagram in batch:
            if self._roams or (address == self._remote and port is self._port):
                receive(datagram, now)
            elif address[0] == self._host:
                self._receive_from_elsewhere(address, datagram, port, now)
        self.pump()

    def _receive_from_elsewhere(self, address: Address, datagram: bytes, port: Port, now: float) -> None:
        """Take a datagram of a new address, and follow the sender there if it is genuine and new."""
        before = self.machine.statistics
        self.machine.receive(datagram, now)
        after = self.machine.statistics
        if (after.bad, after.duplicates) != (before.bad, before.duplicates):
            return
        if port is not self._port and port is self._parent:
            self._use_parent(address)
        elif port is self._port:
            self._remote = address
