"""Showing at a desk who one is: a code by mail, or a sign-in. Bound to the browser by a cookie.

The page does it inside its own form (`portal/desk.py`), so that nothing typed is lost; other clients use the two
addresses below.
"""

from __future__ import annotations

import secrets as random
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from models.actions import desk as verbs
from models.actions import proving, signing
from models.domain.errors import BadInput
from models.domain.proof import Shown
from notifications.links import check_code
from portal.limits import source_of
from portal.link import open_link
from portal.state import COOKIE, check_origin, guessing, portal_of, read_json

router = APIRouter(tags=["desk"])
BROWSER = "shixiang_browser"
Token = Annotated[str, Path(description="the token of the link in the notice")]


class Sent(BaseModel):
    """A code is on its way."""

    sent_to: str = Field(description="the registered address, masked")
    minutes: int = Field(description="how long the code holds")
    tries: int = Field(description="how often it may be tried")


class Proved(BaseModel):
    """Who it is has been shown."""

    proof: str = Field(description="`code` or `session`")
    until: str = Field(description="until when this browser decides without asking again, ISO 8601")


def shown_proof(request: Request, person_id: str) -> Shown | None:
    """What the browser at the other end has shown of a person."""
    portal = portal_of(request)
    cookies = request.cookies
    return proving.shown(
        portal.db,
        person_id=person_id,
        session=cookies.get(COOKIE, ""),
        browser=cookies.get(BROWSER, ""),
        now=portal.now(),
    )


def proof_json(found: Shown | None) -> dict[str, str] | None:
    """What was shown, as JSON."""
    return None if found is None else {"proof": found.kind, "until": found.until.isoformat()}


def send_code(request: Request, lies: Mapping[str, Any], step: str = "") -> tuple[str, str]:
    """Mail a code for what lies open, or for what others are late with (`step`); the masked address, and the browser's
    mark for its cookie.
    """
    portal = portal_of(request)
    browser = request.cookies.get(BROWSER, "") or random.token_urlsafe(32)
    own = [one["stage"] for one in lies["assignments"] if one["proof"] != "none"]
    others = [one for one in lies["supervised"] if one["acts"] and set(one["proof"].values()) != {"none"}]
    others.sort(key=lambda one: one["step"] != step)
    late = [one["stage"] for one in others]
    stage = next(iter(late + own if step else own + late), None)
    if stage is None:
        raise BadInput("nothing_to_decide", "目前没有需要核验身份的待办，不必获取验证码。")
    address = proving.send_code(
        portal.db,
        person_id=lies["person"]["id"],
        change_id=lies["change"]["id"],
        stage=stage,
        browser=browser,
        key_id=portal.key_id,
        now=portal.now(),
    )
    return address, browser


def keep_browser(request: Request, answer: Response, browser: str) -> None:
    """Bind what follows to this browser."""
    answer.set_cookie(
        BROWSER,
        browser,
        max_age=(proving.PROOF_HOURS + 1) * 3600,
        httponly=True,
        samesite="lax",
        secure=portal_of(request).settings.portal_address.startswith("https://"),
        path="/d",
    )


def prove(request: Request, person_id: str, code: str) -> Shown:
    """Spend a code. Raises `ProofNeeded` code_wrong or code_expired, `BadInput field_missing`, `TooMany`."""
    portal = portal_of(request)
    typed = "".join(sign for sign in unicodedata.normalize("NFKC", code) if not sign.isspace() and sign != "-")
    if not typed:
        raise BadInput("field_missing", "“验证码”未填写。请先获取验证码，再填入邮件中的 6 位数字。", field="code")
    with guessing(request):
        return proving.prove(
            portal.db,
            person_id=person_id,
            browser=request.cookies.get(BROWSER, ""),
            check=lambda row: check_code(typed, row, portal.secrets),
            now=portal.now(),
        )


def mail_sign_in(request: Request, person_id: str) -> str:
    """Mail a sign-in link to a person's registered address; the masked address."""
    portal = portal_of(request)
    address = signing.address_of(portal.db, person_id=person_id)
    portal.limits.asking.take(source_of(request))
    portal.limits.address.take(address.lower())
    signing.ask_sign_in(portal.db, address=address, key_id=portal.key_id, now=portal.now())
    return proving.masked(address)


def ways(shared: bool) -> dict[str, str]:
    """How a client shows who it is: addresses relative to the desk's, and the sign-in page."""
    return {"sign_in": "/sign-in"} if shared else {"send": "code", "prove": "proof", "sign_in": "/sign-in"}


@router.post("/d/{token}/code", status_code=202, response_model=Sent)
async def ask(request: Request, token: Token) -> Response:
    """Mail six digits to the registered address. The answer sets the cookie the code is bound to; 429 after 6 an hour."""
    check_origin(request)
    return await run_in_threadpool(_ask, request, token)


def _ask(request: Request, token: str) -> Response:
    portal = portal_of(request)
    person_id, change_id = open_link(request, token)
    lies = verbs.desk(
        portal.db, person_id=person_id, change_id=change_id, now=portal.now(), office_proof=portal.settings.proof
    )
    address, browser = send_code(request, lies)
    body = Sent(sent_to=address, minutes=proving.CODE_MINUTES, tries=proving.TRIES)
    answer = JSONResponse(body.model_dump(), status_code=202)
    keep_browser(request, answer, browser)
    return answer


@router.post("/d/{token}/proof", response_model=Proved)
async def spend(request: Request, token: Token) -> Response:
    """Send `{"code": "123456"}` with the cookie; decisions are taken for 12 hours. 401 `code_wrong`, `code_expired`."""
    check_origin(request)
    person_id, _ = await run_in_threadpool(open_link, request, token)
    code = (await read_json(request)).get("code")
    if not isinstance(code, str) or len(code) > 40:
        raise BadInput("field_invalid", '“code”应为 6 位数字，例如 "012345"。', field="code")
    found = await run_in_threadpool(prove, request, person_id, code)
    return JSONResponse(proof_json(found))
