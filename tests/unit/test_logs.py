"""What a process logs: an entry is an entry, whatever stands in it."""

from __future__ import annotations

import logging
import re

import pytest

from deployments.logs import Entries
from tests.hostile import HOSTILE

BEGINS = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} test WARNING( |$)")


def written(message: str, error: Exception | None = None) -> str:
    """An entry as it stands in the file."""
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("test", logging.WARNING, "x.py", 1, "%s", (message,), info)
    return Entries("%(asctime)s %(name)s %(levelname)s %(message)s").format(record)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_begins_no_entry_and_moves_no_cursor(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        lines = written(text, error).split("\n")
    assert BEGINS.match(lines[0])
    assert all(line.startswith("    ") for line in lines[1:])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", "".join(lines))
    assert any("Traceback" in line for line in lines)
