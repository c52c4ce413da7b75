"""Bases in forms: several fields each, numbered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.state import first, plain

BASIS_PARTS = ("law", "edition", "article", "sub", "paragraph", "item", "subitem", "annex", "quoted")


def bases_of(form: Mapping[str, list[str]], head: str) -> list[dict[str, str]] | None:
    """The bases a form holds under `{head}{number}-{part}`, empty ones left out; None where it holds none at all."""
    numbers = sorted(
        {
            int(n)
            for name in form
            if name.startswith(head) and (n := name[len(head) :].split("-")[0]).isdecimal() and len(n) < 6
        }
    )
    if not numbers:
        return None
    made = [
        {part: first(form, f"{head}{number}-{part}").replace("\r\n", "\n").strip() for part in BASIS_PARTS}
        for number in numbers
    ]
    return [basis for basis in made if any(basis.values())]


def basis_texts(basis: Mapping[str, Any]) -> dict[str, str]:
    """A basis as the texts its form fields show."""
    return {part: plain(basis.get(part)).strip() for part in BASIS_PARTS}
