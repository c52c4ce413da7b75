"""Two processes on one database, the first of which stops where told: at every commit, every lock, every look.

The seams of a verb, in the order it reaches them:
  looked      it has read something outside a transaction
  begin       its writer transaction is about to begin
  locked      it holds a lock (SQLite: the writer's; PostgreSQL: a row or an advisory lock)
  commit      everything is said, nothing committed
  committed   others see it now
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

from sqlalchemy import Connection, event

from models.domain.errors import Refusal
from models.store.database import Database

#: How long the second is given while the first holds a transaction open: it may be waiting for a lock of the first.
GRACE_SECONDS = 0.12
#: Nothing here takes so long; a process that does hangs.
PATIENCE_SECONDS = 60.0

Act = Callable[..., Any]


@dataclass(frozen=True)
class Outcome:
    """How an act ended: `ok` with what it returned, `refused` with the refusal's code, or `broke`."""

    kind: str
    code: str = ""
    status: int = 200
    message: str = ""
    value: Any = None

    @property
    def word(self) -> str:
        """`ok`, the code of the refusal, or what broke."""
        return "ok" if self.kind == "ok" else self.code


@dataclass(frozen=True)
class Task:
    """An act with its arguments; the function must be importable."""

    act: Act
    arguments: Mapping[str, Any] = field(default_factory=dict)


class HastyDatabase(Database):
    """A database that need not outlive a power cut: nothing waits for the disk."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        event.listen(self.engine, "connect", self._hasten)

    def _hasten(self, connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("pragma synchronous=off" if self.sqlite else "set synchronous_commit = off")
        cursor.close()
        if not self.sqlite:
            connection.commit()


class StoppingDatabase(HastyDatabase):
    """A database that says which seam it has reached."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reach: Callable[[str], None] = lambda seam: None
        event.listen(self.engine, "after_cursor_execute", self._after)

    def _after(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        text = statement.lower()
        if text == "begin immediate" or "for update" in text or "for no key update" in text or "advisory" in text:
            self.reach("locked")

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """As the product's, then the seam `looked`."""
        with super().reader() as connection:
            yield connection
        self.reach("looked")

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """As the product's, with the seams around it."""
        self.reach("begin")
        with super().writer() as connection:
            yield connection
            self.reach("commit")
        self.reach("committed")


class Actor:
    """A process of its own that does what it is told, one act after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, url: str, task: Task, stop_at: int | None = None) -> None:
        """Start an act; it stops at the seam of that number (from 0), if it comes so far."""
        self.pipe.send((url, task.act, dict(task.arguments), stop_at))

    def stopped(self) -> str | None:
        """Wait until the act stops at its seam: its name. None where it has ended without."""
        self._wait()
        said = self.pipe.recv()
        if said[0] == "at":
            return str(said[1])
        self._ended = said
        return None

    def go_on(self) -> None:
        """Let a stopped act go on."""
        self.pipe.send("go on")

    def has_ended(self, seconds: float) -> bool:
        """Whether the act ends within this time."""
        return self.pipe.poll(seconds)

    def ended(self) -> tuple[Outcome, list[str]]:
        """Wait for the end: how it ended, and the seams it passed."""
        self._wait()
        said = self.pipe.recv()
        return said[1], said[2]

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()

    def _wait(self) -> None:
        assert self.pipe.poll(PATIENCE_SECONDS), f"an act hangs for {PATIENCE_SECONDS} s"


def _serve(pipe: Pipe) -> None:
    """The life of an actor."""
    offices: dict[str, StoppingDatabase] = {}
    while True:
        try:
            url, act, arguments, stop_at = pipe.recv()
        except EOFError:
            return
        db = offices.setdefault(url, StoppingDatabase(url))
        passed: list[str] = []

        def reach(seam: str, passed: list[str] = passed, stop_at: int | None = stop_at) -> None:
            passed.append(seam)
            if stop_at == len(passed) - 1:
                pipe.send(("at", seam))
                pipe.recv()

        db.reach = reach
        outcome = _try(act, db, arguments)
        db.reach = lambda seam: None
        pipe.send(("ended", outcome, passed))


def _try(act: Act, db: Database, arguments: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome("ok", value=act(db, **arguments))
    except Refusal as refusal:
        return Outcome("refused", refusal.code, refusal.status, refusal.message, refusal.details)
    except Exception as error:  # what no person may ever see: the test says so
        return Outcome("broke", type(error).__name__, 500, str(error)[:800])


def alone(url: str, actor: Actor, task: Task) -> tuple[Outcome, list[str]]:
    """An act without a rival, and the seams it passes."""
    actor.begin(url, task)
    return actor.ended()


def race(
    url: str, actors: tuple[Actor, Actor], first: Task, second: Task, stop_at: int
) -> tuple[str, Outcome, Outcome]:
    """The first act stops at a seam while the second runs; then both end. The seam's name and both outcomes."""
    seam, outcomes = race_of_many(url, actors, first, [second], stop_at)
    return seam, outcomes[0], outcomes[1]


def race_of_many(
    url: str, actors: Sequence[Actor], first: Task, others: Sequence[Task], stop_at: int
) -> tuple[str, list[Outcome]]:
    """The first act stops at a seam while the others run, all at once; then all end. The seam's name and the outcomes."""
    leading, *following = actors
    leading.begin(url, first, stop_at)
    seam = leading.stopped()
    ended = [leading._ended[1]] if seam is None else []
    for actor, task in zip(following, others, strict=True):
        actor.begin(url, task)
    if seam is not None:
        end = time.monotonic() + (GRACE_SECONDS if seam in {"locked", "commit"} else PATIENCE_SECONDS)
        for actor in following:
            actor.has_ended(max(0.0, end - time.monotonic()))
        leading.go_on()
        ended = [leading.ended()[0]]
    return seam or "end", ended + [actor.ended()[0] for actor in following]
