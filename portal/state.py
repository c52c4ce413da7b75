"""What every request needs: the office, who is signed in, the form that was sent."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from fastapi import Request

from models.actions.signing import is_coordinator, session_person
from models.domain.errors import BadInput, Forbidden, ProofNeeded, Unknown
from models.domain.outside import check_storable
from models.settings import Settings
from models.store.database import Database
from models.store.office import PersonRow
from portal.limits import Limits, source_of

COOKIE = "shixiang_session"
MOST_FIELDS = 60_000


#: The name of a run's state where Prefect does not know the run any more.
GONE = "gone"


class Alarm(NamedTuple):
    """Something an operator must look at: a code of `portal.operators.ALARMS` and what its sentence names."""

    code: str
    values: Mapping[str, object]


class Operations(Protocol):
    """What the portal asks of the engine's surroundings for the operators' page; none of it waits long, none raises."""

    def alarms(self) -> Sequence[Alarm]: ...
    def run_states(self, flow_run_ids: Sequence[str]) -> Mapping[str, tuple[str, bool]] | None: ...
    def retire(self, flow_run_id: str) -> None: ...
    def deploy(self) -> bool: ...


class NoOperations:
    """Where there is no engine to ask."""

    def alarms(self) -> Sequence[Alarm]:
        """Nothing is known to be wrong."""
        return ()

    def run_states(self, flow_run_ids: Sequence[str]) -> Mapping[str, tuple[str, bool]] | None:
        """None: nobody was asked."""
        return None

    def retire(self, flow_run_id: str) -> None:
        """There is no run to end."""

    def deploy(self) -> bool:
        """Nobody listens."""
        return False


@dataclass(frozen=True)
class Portal:
    """The office behind the pages."""

    db: Database
    settings: Settings
    key_id: str
    secrets: Mapping[str, bytes]
    start: Callable[[str], str | None]
    wake: Callable[[str], None]
    missing: Callable[[], list[str]]
    now: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    operations: Operations = field(default_factory=NoOperations)

    def csrf(self, session: str) -> str:
        """The mark a session's forms carry."""
        return hmac.digest(self.secrets[self.key_id], b"csrf\x1f" + session.encode(), hashlib.sha256).hex()[:32]


def portal_of(request: Request) -> Portal:
    """The office of this application."""
    portal: Portal = request.app.state.portal
    return portal


class SignInFirst(ProofNeeded):
    """A page for people who are signed in; browsers are led to the sign-in."""


def wants_json(request: Request) -> bool:
    """Whether the answer should be JSON: the interface, or whoever asks for it or sends it."""
    path = request.url.path
    if path.startswith("/api/") or (path.startswith("/d/") and path.endswith(("/code", "/proof"))):
        return True
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        return True
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def signed_in(request: Request) -> PersonRow | None:
    """Who is signed in with this browser, or None."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    portal = portal_of(request)
    return session_person(portal.db, token=token, now=portal.now())


def coordinator(request: Request) -> PersonRow:
    """The coordinator at the other end. Raises `SignInFirst` or `Forbidden not_your_seat`."""
    person = signed_in(request)
    if person is None:
        raise SignInFirst("signin_needed", "请先登录。")
    portal = portal_of(request)
    if not is_coordinator(portal.db, person_id=person.id, now=portal.now()):
        raise Forbidden(
            "not_your_seat", "统筹工作台由统筹协调人办理，您没有该岗位的任职或者代理。请打开通知邮件中的链接办理待办。"
        )
    return person


@contextmanager
def guessing(request: Request) -> Iterator[None]:
    """Around a look at a link or a key: what is wrong counts against its source, and too much of it is `TooMany`."""
    try:
        yield
    except (Unknown, ProofNeeded):
        portal_of(request).limits.guess.take(source_of(request))
        raise


async def read_json(request: Request) -> dict[str, Any]:
    """The object that was sent; `BadInput field_invalid` for what cannot be read or stored."""
    try:
        body = json.loads(await request.body(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput("field_invalid", "提交的内容不是 JSON，未作任何改动。") from error
    if not isinstance(body, dict):
        raise BadInput("field_invalid", "提交的内容应为一个 JSON 对象，未作任何改动。")
    check_storable(body)
    return body


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form; `BadInput field_invalid` for what cannot be read or stored."""
    fields: dict[str, list[str]] = {}
    for name, value in await _pairs(request):
        fields.setdefault(name, []).append(value)
    check_storable(fields)
    return fields


async def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_fields=MOST_FIELDS, max_files=0) as sent:
                return [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]
        body = (await request.body()).decode("utf-8")
        return parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise BadInput("field_invalid", "提交的内容无法读取，未作任何改动。请刷新页面后重新提交。") from error


def first(form: Mapping[str, list[str]], name: str, default: str = "") -> str:
    """The first value of a field."""
    values = form.get(name)
    return values[0] if values else default


def check_origin(request: Request) -> None:
    """A form of another site is refused; `Forbidden form_expired`."""
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Forbidden("form_expired", "页面停留过久或者来源不符，未记录，请刷新后重新提交。")


def check_csrf(request: Request, form: Mapping[str, list[str]]) -> None:
    """The form must carry the mark of the session; `Forbidden form_expired`."""
    check_origin(request)
    token = request.cookies.get(COOKIE, "")
    if not token or not hmac.compare_digest(first(form, "csrf").encode(), portal_of(request).csrf(token).encode()):
        raise Forbidden("form_expired", "页面停留过久或者来源不符，未记录，请刷新后重新提交。")


def plain(value: Any) -> str:
    """A value as the text of a form's field."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "\n".join(str(entry) for entry in value)
    return str(value)
