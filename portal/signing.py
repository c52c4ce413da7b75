"""Signing in by a mailed link: GET shows a button, POST spends it. Unknown addresses get the same answer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from starlette.background import BackgroundTask

from models.actions import signing
from models.domain.errors import BadInput, Refusal
from models.words import _
from notifications.links import check_token, read_token
from portal.limits import source_of
from portal.pages import render, told
from portal.state import COOKIE, check_csrf, check_origin, first, guessing, portal_of, read_form, signed_in

router = APIRouter(include_in_schema=False)


@router.api_route("/sign-in", methods=["GET", "HEAD"])
def ask(request: Request) -> Response:
    """The page that asks for the registered address."""
    if signed_in(request) is not None:
        return RedirectResponse("/", 303)
    return render(request, "sign_in.html", step="ask", nav="", address="", fault="")


@router.post("/sign-in")
async def send(request: Request) -> Response:
    """Mail a link to a registered address; the answer is the same for every address."""
    check_origin(request)
    form = await read_form(request)
    return await run_in_threadpool(_send, request, first(form, "email").strip())


def _send(request: Request, address: str) -> Response:
    portal = portal_of(request)
    if "@" not in address or len(address) > 254 or any(sign.isspace() for sign in address):
        fault = _("请填写登记的工作邮箱，例如 zhang.san@shili.example。")
        return render(request, "sign_in.html", 422, step="ask", nav="", address=address, fault=fault)
    portal.limits.asking.take(source_of(request))
    portal.limits.address.take(address.lower())
    answer = render(request, "sign_in.html", step="sent", nav="", address=address, fault="")
    # After the answer: how long it takes must not tell whether the address is registered.
    answer.background = BackgroundTask(
        signing.ask_sign_in, portal.db, address=address, key_id=portal.key_id, now=portal.now()
    )
    return answer


def _link(request: Request, token: str) -> str:
    portal = portal_of(request)
    with guessing(request):
        parts = read_token(token)
        check_token(parts, signing.load_link(portal.db, link_id=parts.link_id), portal.secrets)
    return parts.link_id


@router.api_route("/s/{token}", methods=["GET", "HEAD"])
def confirm(request: Request, token: str) -> Response:
    """Who would be signed in; a preview in a chat spends nothing."""
    portal = portal_of(request)
    try:
        link = _link(request, token)
        people = signing.sign_in_people(portal.db, link_id=link, now=portal.now())
    except Refusal as refusal:
        return render(request, "sign_in.html", refusal.status, step="ask", nav="", address="", fault=told(refusal))
    return render(request, "sign_in.html", step="confirm", nav="", address="", fault="", people=people)


@router.post("/s/{token}")
async def spend(request: Request, token: str) -> Response:
    """Sign in, once."""
    check_origin(request)
    link = await run_in_threadpool(_link, request, token)
    return await run_in_threadpool(_spend, request, link, first(await read_form(request), "person"))


def _spend(request: Request, link: str, person: str) -> Response:
    portal = portal_of(request)
    try:
        session, _who = signing.spend_sign_in(portal.db, link_id=link, person_id=person, now=portal.now())
    except BadInput as refusal:
        people = signing.sign_in_people(portal.db, link_id=link, now=portal.now())
        shown: dict[str, Any] = {"step": "confirm", "nav": "", "address": "", "people": people, "fault": told(refusal)}
        return render(request, "sign_in.html", refusal.status, **shown)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        session,
        max_age=signing.SESSION_HOURS * 3600,
        httponly=True,
        samesite="lax",
        secure=portal.settings.portal_address.startswith("https://"),
        path="/",
    )
    return answer


@router.post("/sign-out")
async def leave(request: Request) -> Response:
    """End the session."""
    form = await read_form(request)
    check_csrf(request, form)
    portal = portal_of(request)
    await run_in_threadpool(signing.sign_out, portal.db, token=request.cookies.get(COOKIE, ""), now=portal.now())
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, path="/")
    return answer
