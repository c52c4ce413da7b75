"""Item type codes of the sources, translated to the national table by `item_types.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


@cache
def _tables() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("item_types.toml").read_text(encoding="utf-8")
    return {source: dict(table["codes"]) for source, table in tomllib.loads(text).items()}


def translate_type(source: str, code: str) -> str | None:
    """The national type code ("01".."10", "20") for a source's code or name; None where the table does not know it."""
    return _tables().get(source, {}).get(code.strip())


def sources() -> tuple[str, ...]:
    """Names of the sources that have a table."""
    return tuple(_tables())
