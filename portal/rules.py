"""The rules by which a law change finds its rows: how often what they proposed was kept; a coordinator switches one off."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from models.actions import rules as verbs
from models.domain.errors import Refusal
from portal.pages import render
from portal.state import check_csrf, coordinator, first, portal_of, read_form

router = APIRouter(include_in_schema=False)


@router.api_route("/rules", methods=["GET", "HEAD"])
def page(request: Request, done: str = "") -> Response:
    """Every rule with its figures and who switched it, when and why."""
    return _page(request, done=bool(done))


def _page(request: Request, *, done: bool = False, refusal: Refusal | None = None, typed: str = "") -> Response:
    who = coordinator(request)
    found = verbs.rules(portal_of(request).db)
    status = 200 if refusal is None else refusal.status
    return render(
        request, "rules.html", status, nav="start", person=who, rules=found, done=done, refusal=refusal, typed=typed
    )


@router.post("/rules")
async def switch(request: Request) -> Response:
    """Switch a rule off or on; the reason is kept and stands in every preview."""
    return await run_in_threadpool(_switch, request, await read_form(request))


def _switch(request: Request, form: Mapping[str, list[str]]) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    portal = portal_of(request)
    act, _, rule = first(form, "do").partition("-")
    try:
        verbs.switch_rule(
            portal.db,
            rule=rule,
            off=act == "off",
            by=who.id,
            reason=first(form, "reason"),
            via="portal",
            now=portal.now(),
        )
    except Refusal as refusal:
        return _page(request, refusal=refusal, typed=first(form, "reason"))
    return RedirectResponse("/rules?done=1", 303)
