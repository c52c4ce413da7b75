"""Refusals: what the office does not do, each with a code and a sentence a clerk understands.

The codes and sentences are those of the wording table; the HTTP status belongs to the code.

Refusal
├── BadInput          a value, a row or a file cannot be used            422
├── Unknown           nothing of that name is known                      404
├── Conflict          somebody was faster, or the state does not allow it 409
├── Forbidden         the person may not do this                         403
├── ProofNeeded       who it is must be shown first                      401
├── Gone              the link or the sign-in is over                    410
├── TooMany           too many of one kind in a short time               429
└── Unusable          the machine or the home does not allow it          503
"""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A named refusal. `code` is stable, `message` is for the person, `details` is data for pages and JSON."""

    status = 422

    def __init__(self, code: str, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class BadInput(Refusal):
    """A value, a row or a file cannot be used."""


class Unknown(Refusal):
    """Nothing of that name is known."""

    status = 404


class Conflict(Refusal):
    """Somebody was faster, or the state does not allow it."""

    status = 409


class Forbidden(Refusal):
    """The person may not do this."""

    status = 403


class ProofNeeded(Refusal):
    """Who it is must be shown first."""

    status = 401


class Gone(Refusal):
    """The link or the sign-in is over."""

    status = 410


class TooMany(Refusal):
    """Too many requests of one kind in a short time; `seconds` until the next may come."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__("too_many_requests", f"操作过于频繁，请 {seconds} 秒后再试。", seconds=seconds)


class Unusable(Refusal):
    """The machine, the home or a service does not allow it now."""

    status = 503
