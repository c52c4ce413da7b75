"""The deliverer: takes due notices out of the outbox and sends them; a leg and a web request never wait for a mail.

Poked by the commit in process, otherwise it looks ten times a second. Claimed in batches, oldest first, a few at a
time; what cannot be sent now is tried again with growing pauses for two days, then it stands on the board.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from notifications.channel import Outcome
from notifications.render import render

log = logging.getLogger("shixiang.deliverer")

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600))
LAST_TRY = timedelta(hours=48)
MOST_TRIES = 60
#: Longer than a mail takes whose server hangs: whoever is still sending after this is taken for dead.
LEASE_SECONDS = 25.0
BREAK_AFTER = 5
BREAK_SECONDS = 10.0


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
    def retry(self, notice_id: str, next_at: datetime, error: str) -> None: ...
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
        self._broken_until: datetime | None = None

    def start(self) -> None:
        """Deliver from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)
        self._thread.start()

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
        """Send these, committed as being sent by this deliverer; look for others too."""
        try:
            for notice in notices:
                self._pool.submit(self._deliver_handed, notice)
        except RuntimeError:  # it has ended: their lease ends too, and another engine sends them
            log.warning("the deliverer has ended: %d notices are sent later", len(notices))
        if len(notices) in (0, self.workers):
            self.poke()

    def _deliver_handed(self, notice: Claimed) -> None:
        try:
            now = self.now()
            if self._broken_until is not None and now < self._broken_until:
                self.outbox.retry(notice.id, self._broken_until, "邮件服务器暂时不可用")
            elif now - notice.created_at > timedelta(seconds=LEASE_SECONDS / 2):
                # It waited behind slow mails: while its lease is still ours it goes back, so that nobody sends it twice.
                self.outbox.retry(notice.id, now, "")
            else:
                self._deliver(notice)
        except Exception:  # its lease ends, and it is sent again
            log.exception("notice %s was not settled", notice.id)

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
        now = self.now()
        if self._broken_until is not None and now < self._broken_until:
            return 0
        batch: list[Claimed] = self.outbox.claim(now, self.workers, LEASE_SECONDS, sure=sure)
        list(self._pool.map(self._deliver, batch))
        return len(batch)

    def _deliver(self, notice: Claimed) -> None:
        try:
            message = render(notice.kind, notice.payload, self.link_url(notice), notice.repeat)
        except Exception as error:  # a text that cannot be written must not stop the others
            log.exception("notice %s (%s) cannot be written", notice.id, notice.kind)
            self.outbox.undeliverable(notice.id, f"通知无法生成（{type(error).__name__}）", self.now())
            return
        outcome = self.channel.send(
            to=notice.address,
            subject=message.subject,
            body=message.body,
            headers=headers(notice),
            reply_to=notice.reply_to,
        )
        self._settle(notice, outcome, message.subject)

    def _settle(self, notice: Claimed, outcome: Outcome, subject: str) -> None:
        now = self.now()
        if outcome.kind == "accepted":
            self._failures, self._broken_until = 0, None
            self.outbox.accepted(notice.id, now)
            return
        if outcome.kind == "permanent" or notice.tries >= MOST_TRIES or now - notice.created_at > LAST_TRY:
            log.warning("notice %s (%s) is undeliverable", notice.id, notice.kind)
            self.outbox.undeliverable(notice.id, outcome.error, now, subject)
            return
        self.outbox.retry(notice.id, now + PAUSES[min(notice.tries, len(PAUSES)) - 1], outcome.error)
        self._failures += 1
        if self._failures >= BREAK_AFTER:
            self._broken_until = now + timedelta(seconds=BREAK_SECONDS)


def headers(notice: Claimed) -> dict[str, str]:
    """The headers others sort our mails by."""
    found = {"X-Shixiang-Notice": notice.id, "X-Shixiang-Kind": notice.kind}
    if notice.change_id is not None:
        found["X-Shixiang-Change"] = notice.change_id
    if notice.repeat:
        found["X-Shixiang-Repeat"] = str(notice.repeat)
    return found
