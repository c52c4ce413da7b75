"""The log of a process on stderr: an entry begins a line, and nothing inside an entry begins another."""

from __future__ import annotations

import logging
import sys

from models.domain.outside import one_line


class Entries(logging.Formatter):
    """Further lines of an entry (a traceback, a text with line breaks) are set in; control signs are left out."""

    def format(self, record: logging.LogRecord) -> str:
        first, *more = super().format(record).splitlines() or [""]
        return "\n".join([one_line(first), *(f"    {_kept(line)}" for line in more)])


def _kept(line: str) -> str:
    inner = line.lstrip(" ")
    return " " * (len(line) - len(inner)) + one_line(inner)


def open_log(level: int = logging.WARNING) -> None:
    """Write the log of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Entries("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
