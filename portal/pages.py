"""Rendering: one environment of templates, the texts' catalogue, and what every page shows."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from models.actions import views
from models.actions.notices import at_text, day_text
from models.domain.deadlines import SHANGHAI
from models.domain.differences import basis_text, word_diff
from models.domain.vocabulary import (
    OUTCOME_NAMES,
    ROLE_NAMES,
    STAGE_NAMES,
    STATE_NAMES,
    TRIGGER_NAMES,
    VERDICT_BUTTON,
    VERDICT_RECORD,
)
from portal.state import COOKIE, Portal, plain, portal_of, signed_in

HERE = Path(__file__).resolve().parent
LANGUAGES = ("zh", "en")


def sides(before: str, after: str) -> tuple[Markup, Markup]:
    """Both texts with their differences marked: `<del>` on the old side, `<ins>` on the new."""
    old: list[Markup] = []
    new: list[Markup] = []
    for tag, text in word_diff(before, after):
        safe = _lines(text)
        if tag == "equal":
            old.append(safe)
            new.append(safe)
        elif tag == "delete":
            old.append(Markup("<del>{}</del>").format(safe))
        else:
            new.append(Markup("<ins>{}</ins>").format(safe))
    return Markup("").join(old), Markup("").join(new)


def _lines(text: str) -> Markup:
    return Markup("<br>").join(escape(line) for line in text.split("\n"))


def when(moment: datetime | str | None, now: datetime) -> Markup:
    """A moment for sentences and facts, with its exact value in the markup."""
    if moment is None:
        return Markup("—")
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    iso = value.astimezone(SHANGHAI).isoformat(timespec="minutes")
    return Markup('<time datetime="{}">{}</time>').format(iso, at_text(value, now))


def day(value: date | str | None, now: datetime, *, week: bool = True) -> Markup:
    """A day for sentences: 12月8日（周二）."""
    if value is None or value == "":
        return Markup("—")
    on = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    words = day_text(on, now) + (f"（周{'一二三四五六日'[on.weekday()]}）" if week else "")
    return Markup('<time datetime="{}">{}</time>').format(on.isoformat(), words)


def full_day(value: date | str) -> Markup:
    """A day with its year whatever the year is now: a text's edition."""
    on = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return Markup('<time datetime="{}">{}年{}月{}日</time>').format(on.isoformat(), on.year, on.month, on.day)


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts: NullTranslations = translation("portal", HERE / "locale", languages=[language], fallback=True)
    made.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(
        sides=sides,
        basis_text=basis_text,
        full_day=full_day,
        plain=plain,
        OUTCOMES=OUTCOME_NAMES,
        STAGES=STAGE_NAMES,
        STATES=STATE_NAMES,
        TRIGGERS=TRIGGER_NAMES,
        ROLES=ROLE_NAMES,
        VERDICTS=VERDICT_BUTTON,
        RECORD=VERDICT_RECORD,
    )
    made.filters["outcome_names"] = lambda codes: "、".join(OUTCOME_NAMES[code].short for code in codes)
    made.filters["lines"] = lambda text: _lines(str(text))
    return made


def language_of(request: Request) -> str:
    """`?lang=`, else what the browser prefers, else Chinese."""
    wanted = request.query_params.get("lang", "")
    if wanted in LANGUAGES:
        return wanted
    for part in request.headers.get("accept-language", "").split(","):
        code = re.split(r"[-;]", part.strip().lower())[0]
        if code in LANGUAGES:
            return code
    return "zh"


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """One page. `nav` in values says which entry of the menu is this one; none for pages opened by a link."""
    portal = portal_of(request)
    language = language_of(request)
    now = portal.now()
    facts = _facts(portal)
    token = request.cookies.get(COOKIE)
    values.setdefault("person", None)
    values.setdefault("nav", None)
    values.setdefault("contact", None)
    text = (
        _environment(language)
        .get_template(template)
        .render(
            lang=language,
            facts=facts,
            now=now,
            when=lambda moment: when(moment, now),
            day=lambda value, week=True: day(value, now, week=week),
            local_mailbox=not portal.settings.mail_url,
            csrf=portal.csrf(token) if token else "",
            runs_url=f"http://127.0.0.1:{portal.settings.prefect_port}/v2/runs",
            path=request.url.path,
            **values,
        )
    )
    return HTMLResponse(text, status_code=status)


def _facts(portal: Portal) -> dict[str, Any]:
    try:
        return views.office_facts(portal.db)
    except Exception:  # an error page must not fail for want of a database
        return {"sample": False, "place": "", "departments": {}}


def error_page(request: Request, message: str, status: int) -> HTMLResponse:
    """A refusal as a page: what happened and what to do."""
    try:
        person = signed_in(request)
    except Exception:
        person = None
    return render(request, "refusal.html", status, message=message, status_code=status, person=person, nav="")
