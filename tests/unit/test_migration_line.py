"""The migrations are one line: two that follow the same one would leave no schema to go to."""

from __future__ import annotations

from pathlib import Path

from models.migrations import versions
from models.store.migrate import head


def test_the_migrations_are_one_line_numbered_without_a_gap() -> None:
    numbers = sorted(path.name[:4] for path in Path(versions.__path__[0]).glob("0*.py"))
    assert numbers == [f"{n:04d}" for n in range(1, len(numbers) + 1)]
    assert head() == numbers[-1]
