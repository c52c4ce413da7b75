"""What everybody may see: the front page, the catalogue, each item's guide rendered from its version, the laws."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from models.actions import articles, views
from models.actions.signing import is_coordinator
from models.domain.errors import BadInput, Unknown
from models.store.office import PersonRow
from portal.pages import law_pair, render, sides
from portal.state import portal_of, signed_in

router = APIRouter(include_in_schema=False)
_EDITION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ARTICLE: Final = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,2}))?")


@router.api_route("/", methods=["GET", "HEAD"])
def home(request: Request) -> Response:
    """A coordinator's work begins at the board, everybody else's at the sign-in or the catalogue."""
    person = signed_in(request)
    if _insider(request, person):
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


@router.api_route("/laws/{where:path}", methods=["GET", "HEAD"])
def law(request: Request, where: str) -> Response:
    """A law by its title, one of its dated texts, or an article of it: `/laws/{title}/{date}/{number}`, 第三条之一 is 3-1.

    Who decided that an item needs no adjustment, and why, is told to coordinators alone.
    """
    portal, person = portal_of(request), signed_in(request)
    insider = _insider(request, person)
    title, edition, number = _read(where)
    if number is None:
        found = articles.law_page(portal.db, title=title, edition=edition, now=portal.now())
        return render(request, "law.html", nav="laws", person=person, law=found, insider=insider)
    assert edition is not None
    no, sub = _number(title, edition, number)
    page = articles.article_page(
        portal.db, title=title, edition=edition, no=no, sub=sub, insider=insider, now=portal.now()
    )
    for name in ("came", "went"):
        page[name] = None if page[name] is None else law_pair(page[name])
    return render(request, "article.html", nav="laws", person=person, article=page, insider=insider)


def _insider(request: Request, person: PersonRow | None) -> bool:
    portal = portal_of(request)
    return person is not None and is_coordinator(portal.db, person_id=person.id, now=portal.now())


def _read(where: str) -> tuple[str, date | None, str | None]:
    """Title, day and article of an address; a title may hold a slash."""
    parts = where.split("/")
    if len(parts) > 2 and _EDITION.fullmatch(parts[-2]):
        return "/".join(parts[:-2]), _text_of(parts[-2]), parts[-1]
    if len(parts) > 1 and _EDITION.fullmatch(parts[-1]):
        return "/".join(parts[:-1]), _text_of(parts[-1]), None
    return where, None, None


def _text_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unknown("law_version_unknown", f"没有 {text} 这一天的文本。请从法规库中选择。") from None


def _number(title: str, edition: date, text: str) -> tuple[int, int]:
    found = _ARTICLE.fullmatch(text)
    if found is None:
        raise Unknown("article_unknown", f"《{title}》{edition} 的文本没有条文“{text[:20]}”。请从该文本的目录中选择。")
    return int(found[1]), int(found[2] or 0)
