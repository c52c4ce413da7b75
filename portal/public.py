"""What everybody may see: the front page, the catalogue, each item's guide rendered from its version, the laws."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from models.actions import views
from models.actions.signing import is_coordinator
from models.domain.errors import BadInput
from portal.pages import render, sides
from portal.state import portal_of, signed_in

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
def home(request: Request) -> Response:
    """A coordinator's work begins at the board, everybody else's at the sign-in or the catalogue."""
    portal, person = portal_of(request), signed_in(request)
    if person is not None and is_coordinator(portal.db, person_id=person.id, now=portal.now()):
        return RedirectResponse("/board", 303)
    return render(
        request, "home.html", nav="", person=person, total=views.catalogue_page(portal_of(request).db)["total"]
    )


@router.api_route("/robots.txt", methods=["GET", "HEAD"])
def robots() -> Response:
    """Links of persons are nobody else's business."""
    return PlainTextResponse(
        "User-agent: *\nDisallow: /d/\nDisallow: /s/\nDisallow: /board\nDisallow: /changes\nDisallow: /mailbox\n"
    )


@router.api_route("/items", methods=["GET", "HEAD"])
def items(request: Request, q: str = "", department: str = "", type: str = "", page: int = 1) -> Response:
    """One page of the catalogue."""
    found = views.catalogue_page(
        portal_of(request).db,
        q=q[:100],
        department=department or None,
        type=type or None,
        page=min(max(1, page), 10_000),
    )
    return render(request, "items.html", nav="items", person=signed_in(request), found=found)


@router.api_route("/i/{code}", methods=["GET", "HEAD"])
def item(request: Request, code: str, on: str = "") -> Response:
    """The guide of an item, as it stands or as it stood on a day."""
    portal = portal_of(request)
    found = views.item_page(portal.db, code=code, on=_day(on), now=portal.now())
    for version in found["versions"]:
        version["rows"] = [
            {"label": one.label, "old": pair[0], "new": pair[1]}
            for one in version["differences"]
            for pair in [sides(one.before_text, one.after_text)]
        ]
    return render(request, "item.html", nav="items", person=signed_in(request), item=found, on=on)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput("field_invalid", f"“日期”应写成 2026-12-08 的样子，现为“{text[:20]}”。", field="on") from None


@router.api_route("/laws", methods=["GET", "HEAD"])
def laws(request: Request, q: str = "") -> Response:
    """The laws of the library with their texts' dates."""
    found = [law for law in views.laws_page(portal_of(request).db) if q.strip() in law["title"]]
    return render(request, "laws.html", nav="laws", person=signed_in(request), laws=found, q=q)
