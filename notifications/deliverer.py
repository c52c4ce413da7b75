"""The deliverer: takes due notices out of the outbox and sends them; a web request never waits for a mail, a leg a moment.

Poked by the commit in process, otherwise it looks ten times a second. Claimed in batches, oldest first, a few at a
time; what cannot be sent now is tried again with growing pauses for two days, then it stands on the board.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from notifications.channel import Outcome
from notifications.render import render

log = logging.getLogger("shixiang.deliverer")

#: After the first try, the second, …: a server that died twice with a mail in hand has it within half a minute.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 600, 1800, 3600))
LAST_TRY = timedelta(hours=48)
MOST_TRIES = 60
#: Longer than a mail takes whose server hangs: whoever is still sending after this is taken for dead.
LEASE_SECONDS = 25.0
#: A server that does not answer is asked again this soon: when it is back, what waited leaves within this time.
AWAY_PAUSE = timedelta(seconds=15)
BREAK_AFTER = 5
BREAK_SECONDS = 10.0
#: Mails are written one after the other, so that the first arrives soon; none waits longer for the one before (seconds).
TURN_SECONDS = 0.02
#: Who hands notices over does nothing else for so long (seconds) or until the first mail is out: it would only slow it.
HANDING_SECONDS = 0.03


@dataclass(frozen=True)
class Claimed:
    """One notice being sent."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    person_id: str
    change_id: str | None
    address: str | None
    reply_to: str | None
    tries: int
    created_at: datetime
    repeat: int
    link_id: str | None
    link: Mapping[str, Any] | None = None


class Outbox(Protocol):
    """Where notices wait."""

    def claim(self, now: datetime, limit: int, lease_seconds: float, *, sure: bool = False) -> list[Any]: ...
    def accepted(self, notice_id: str, at: datetime) -> None: ...
    def retry(self, notice_id: str, next_at: datetime, error: str, *, doubtful: bool = False) -> None: ...
    def renew(self, notice_ids: Sequence[str], until: datetime) -> None: ...
    def undeliverable(self, notice_id: str, error: str, at: datetime | None = None, subject: str = "") -> None: ...


class Channel(Protocol):
    """How a message leaves."""

    def send(
        self, *, to: str | None, subject: str, body: str, headers: Mapping[str, str], reply_to: str | None
    ) -> Outcome: ...


class Deliverer:
    """Sends what is due; one per engine process."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        link_url: Callable[[Claimed], str | None],
        now: Callable[[], datetime],
        *,
        workers: int = 8,
        poll_seconds: float = 0.1,
    ) -> None:
        self.outbox = outbox
        self.channel = channel
        self.link_url = link_url
        self.now = now
        self.poll_seconds = poll_seconds
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="deliver")
        self._poked = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        #: Monotonic: an office's clock may be set back.
        self._broken_until = 0.0
        #: Why the server takes nothing, where that is known; it names no recipient.
        self._fault = ""
        self._in_hand: dict[str, float] = {}
        self._turn = threading.Lock()

    def start(self) -> None:
        """Deliver from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)
        self._thread.start()
        threading.Thread(target=self._keep_leases, name="leases", daemon=True).start()

    def stop(self) -> None:
        """Finish what is being sent and end."""
        self._ended.set()
        self._poked.set()
        if self._thread is not None:
            self._thread.join(timeout=15)
        self._pool.shutdown(wait=True)

    def poke(self) -> None:
        """Notices were committed: look now."""
        self._poked.set()

    def hand(self, notices: Sequence[Claimed]) -> None:
        """Send these, committed as being sent by this deliverer; look for others too. Returns when the first is out, or
        after a moment.
        """
        out = threading.Event()
        try:
            for notice in notices:
                self._in_hand[notice.id] = time.monotonic()
                self._pool.submit(self._deliver_handed, notice, out)
        except RuntimeError:  # it has ended: their lease ends too, and another engine sends them
            log.warning("the deliverer has ended: %d notices are sent later", len(notices))
            out.set()
        if len(notices) in (0, self.workers):
            self.poke()
        if notices:
            out.wait(HANDING_SECONDS)

    def _deliver_handed(self, notice: Claimed, out: threading.Event) -> None:
        try:
            now = self.now()
            broken = self._broken_until - time.monotonic()
            if broken > 0:
                self.outbox.retry(notice.id, now + timedelta(seconds=broken), self._fault or "邮件服务器暂时不可用")
            elif now - notice.created_at > timedelta(seconds=LEASE_SECONDS / 2):
                # It waited behind slow mails: while its lease is still ours it goes back, so that nobody sends it twice.
                self.outbox.retry(notice.id, now, "")
            else:
                self._deliver(notice, out)
        except Exception:  # its lease ends, and it is sent again
            log.exception("notice %s was not settled", notice.id)
        finally:
            out.set()
            self._in_hand.pop(notice.id, None)

    def _run(self) -> None:
        while not self._ended.is_set():
            poked = self._poked.wait(self.poll_seconds)
            self._poked.clear()
            try:
                # A batch that was not full was the last one; whoever puts another notice in pokes again.
                while not self._ended.is_set() and self.deliver_once(sure=poked) == self.workers:
                    pass
            except Exception:  # the database may be away for a moment: the next look finds what is due
                log.exception("the outbox could not be read")
                self._ended.wait(1)

    def deliver_once(self, *, sure: bool = False) -> int:
        """Send one batch of what is due; how many notices it held. `sure` where notices were just committed."""
        if time.monotonic() < self._broken_until:
            return 0
        batch: list[Claimed] = self.outbox.claim(self.now(), self.workers, LEASE_SECONDS, sure=sure)
        began = time.monotonic()
        self._in_hand |= {notice.id: began for notice in batch}
        try:
            list(self._pool.map(self._deliver, batch))
        finally:
            for notice in batch:
                self._in_hand.pop(notice.id, None)
        return len(batch)

    def _keep_leases(self) -> None:
        """A slow server is no dead deliverer: what is still being sent here is not taken by another."""
        while not self._ended.wait(LEASE_SECONDS / 5):
            old = time.monotonic() - LEASE_SECONDS / 3
            slow = [notice_id for notice_id, since in list(self._in_hand.items()) if since < old]
            if not slow:
                continue
            try:
                self.outbox.renew(slow, self.now() + timedelta(seconds=LEASE_SECONDS))
            except Exception:  # then it may be sent twice, and the second one says so
                log.exception("leases were not renewed")

    def _deliver(self, notice: Claimed, out: threading.Event | None = None) -> None:
        try:
            message = render(notice.kind, notice.payload, self.link_url(notice), notice.repeat)
        except Exception as error:  # a text that cannot be written must not stop the others
            log.exception("notice %s (%s) cannot be written", notice.id, notice.kind)
            self.outbox.undeliverable(notice.id, f"通知无法生成（{type(error).__name__}）", self.now())
            return
        with self._in_turn():
            outcome = self.channel.send(
                to=notice.address,
                subject=message.subject,
                body=message.body,
                headers=headers(notice),
                reply_to=notice.reply_to,
            )
        if out is not None:
            out.set()
        self._settle(notice, outcome, message.subject)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Alone where that is soon possible. Mails written at the same moment all arrive when the last does."""
        alone = self._turn.acquire(timeout=TURN_SECONDS)
        try:
            yield
        finally:
            if alone:
                self._turn.release()

    def _settle(self, notice: Claimed, outcome: Outcome, subject: str) -> None:
        now = self.now()
        if outcome.kind == "accepted":
            self._failures, self._broken_until, self._fault = 0, 0.0, ""
            self.outbox.accepted(notice.id, now)
            return
        # What a server that does not answer says about a mail is nothing: such tries are not counted.
        spent = notice.tries >= MOST_TRIES and not outcome.away
        if outcome.kind == "permanent" or spent or now - notice.created_at > LAST_TRY:
            log.warning("notice %s (%s) is undeliverable", notice.id, notice.kind)
            self.outbox.undeliverable(notice.id, outcome.error, now, subject)
            return
        pause = PAUSES[min(notice.tries, len(PAUSES)) - 1]
        if outcome.away and not outcome.doubtful:
            pause = min(pause, AWAY_PAUSE)
        self.outbox.retry(notice.id, now + pause, outcome.error, doubtful=outcome.doubtful)
        self._fault = outcome.error if outcome.away else ""
        self._failures += 1
        if self._failures >= BREAK_AFTER:
            self._broken_until = time.monotonic() + BREAK_SECONDS


def headers(notice: Claimed) -> dict[str, str]:
    """The headers others sort our mails by."""
    found = {"X-Shixiang-Notice": notice.id, "X-Shixiang-Kind": notice.kind}
    if notice.change_id is not None:
        found["X-Shixiang-Change"] = notice.change_id
    if notice.repeat:
        found["X-Shixiang-Repeat"] = str(notice.repeat)
    return found
