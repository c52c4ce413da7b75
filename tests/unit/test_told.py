"""What a leg shows in Prefect beside its work, over an office that notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from flows import lifecycle
from flows.lifecycle import _Told
from models.actions.legs import Moved, PassResult
from tasks import showing


class Office:
    """Shows aside in a thread; `meanwhile` happens at the first calm moment it waits for."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile: Callable[[], None] | None = meanwhile
        self.threads = ThreadPoolExecutor(1)

    def calm(self) -> None:
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()

    def aside(self, act: Callable[[], None]) -> Future[None]:
        return self.threads.submit(act)

    def page(self, change_id: str) -> None:
        return None

    def title(self, change_id: str) -> str:
        return "标题"


class Log:
    def info(self, *arguments: Any) -> None:
        return None

    error = info


def passed(stage: str) -> PassResult:
    moved = (Moved(stage, "市商务局", 1),)
    return PassResult(
        consumed=1, said=1, moved=moved, opened=(), notices=1, waiting=1, phase="running", state="open", ended=False,
        next_due=None,
    )  # fmt: skip


def test_what_a_leg_does_while_it_is_being_shown_is_shown_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    told_of: list[PassResult] = []
    monkeypatch.setattr(lifecycle, "get_run_logger", Log)
    monkeypatch.setattr(showing, "show_step", shown.append)
    monkeypatch.setattr(showing, "tell", lambda change_id, title, result: told_of.append(result))
    first, second = passed("draft"), passed("form")
    office: Any = Office(lambda: told.note(second))
    told = _Told(office, "chg-1", "run-1")
    told.note(first)
    assert told.show_all()
    assert [label.split(" · ")[0] for label in shown] == ["起草", "核验"]
    assert told_of == [first, second]


def test_a_leg_that_is_called_while_it_is_being_shown_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "get_run_logger", Log)
    monkeypatch.setattr(showing, "show_step", lambda label: None)
    monkeypatch.setattr(showing, "tell", lambda change_id, title, result: None)
    office: Any = Office(lambda: None)
    told = _Told(office, "chg-1", "run-1")
    told.note(passed("draft"))
    assert not told.show_all(unless=lambda: True)
    assert told.show_all()
