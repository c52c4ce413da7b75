"""Rendering: one environment of templates, the texts' catalogue, and what every page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from models.actions import views
from models.actions.views import WEEKDAYS
from models.domain.deadlines import SHANGHAI
from models.domain.differences import basis_text, word_diff
from models.domain.errors import Refusal
from models.domain.numerals import article_name
from models.words import N_, _, _n, _p, spoken
from portal.labels import button, labels, meaning_of, part
from portal.language import LANGUAGES, asked_in_address, handed_on, with_language
from portal.state import COOKIE, Portal, plain, portal_of, signed_in

HERE = Path(__file__).resolve().parent
MONTHS = (N_("1月"), N_("2月"), N_("3月"), N_("4月"), N_("5月"), N_("6月"),
          N_("7月"), N_("8月"), N_("9月"), N_("10月"), N_("11月"), N_("12月"))  # fmt: skip


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


def law_pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    """An article in two texts (`old`, `new`: one may be None) with the differences of both marked."""
    old, new = pair["old"], pair["new"]
    before, after = ("" if old is None else old["text"]), ("" if new is None else new["text"])
    if old is None or new is None:  # nothing to compare with: the words as they stand
        old_text, new_text = _lines(before), _lines(after)
    else:
        old_text, new_text = sides(before, after)
    return {**pair, "old_text": old_text, "new_text": new_text}


def law_address(title: str, edition: date | str | None = None, no: int | None = None, sub: int | None = None) -> str:
    """The address of a law, of one of its dated texts, or of an article in it."""
    parts = [quote("".join(title.split()), safe="")]  # a title is found without its white space too
    if edition is not None:
        parts.append(str(edition))
        if no:
            parts.append(f"{no}-{sub}" if sub else str(no))
    return "/laws/" + "/".join(parts)


def _lines(text: str) -> Markup:
    return Markup("<br>").join(escape(line) for line in text.split("\n"))


def when(moment: datetime | str | None, now: datetime) -> Markup:
    """A moment for sentences and facts, with its exact value in the markup."""
    if moment is None:
        return Markup("—")
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    local = value.astimezone(SHANGHAI)
    words = f"{_day_words(local.date(), now)} {local:%H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(timespec="minutes"), words)


def day(value: date | str | None, now: datetime, *, week: bool = True) -> Markup:
    """A day for sentences: 12月8日（周二）."""
    if value is None or value == "":
        return Markup("—")
    on = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    words = _day_words(on, now)
    if week:
        words = _("%(day)s（%(weekday)s）", day=words, weekday=_(WEEKDAYS[on.weekday()]))
    return Markup('<time datetime="{}">{}</time>').format(on.isoformat(), words)


def full_day(value: date | str) -> Markup:
    """A day with its year whatever the year is now: a text's edition."""
    on = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return Markup('<time datetime="{}">{}</time>').format(on.isoformat(), _year_words(on))


def _day_words(on: date, now: datetime) -> str:
    if on.year != now.astimezone(SHANGHAI).year:
        return _year_words(on)
    return _("%(month)s%(day)s日", month=_(MONTHS[on.month - 1]), day=on.day)


def _year_words(on: date) -> str:
    return _("%(year)s年%(month)s%(day)s日", year=on.year, month=_(MONTHS[on.month - 1]), day=on.day)


def told(refusal: Refusal) -> Markup:
    """A refusal on a page: its own sentence, which is Chinese; for readers of English what its code means before it."""
    meaning = told_plainly(refusal)
    if meaning == refusal.message:
        return escape(meaning)
    return Markup('{} <span lang="zh-CN" class="own">{}</span>').format(meaning, refusal.message)


def told_plainly(refusal: Refusal) -> str:
    """A refusal as plain text: its own sentence, or what its code means to those who do not read Chinese."""
    return refusal.message if spoken() == "zh" else meaning_of(refusal.code) or refusal.message


def _listed(values: Iterable[object]) -> str:
    return _("、").join(str(value) for value in values)


def _words(text: str) -> str:
    """Words of the trade joined with 、, in the language of the page."""
    return _listed(_(word) for word in text.split("、")) if text else ""


def _outcome_names(codes: Iterable[str]) -> str:
    return _listed(labels()["OUTCOMES"][code].short for code in codes)


def _marked(said: Callable[..., str]) -> Callable[..., Markup]:
    """A text of the catalogue is trusted markup, the values in it are not."""

    def marked(*parts: Any, **values: Any) -> Markup:
        return Markup(said(*parts, **{name: escape(value) for name, value in values.items()}))

    return marked


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        _=_marked(_),
        _n=_marked(_n),
        _p=_marked(_p),
        sides=sides,
        basis_text=basis_text,
        full_day=full_day,
        law_address=law_address,
        plain=plain,
        told=told,
        button=button,
        words=_words,
        provision=article_name,
    )
    made.filters["outcome_names"] = _outcome_names
    made.filters["listed"] = _listed
    made.filters["word"] = _
    made.filters["part"] = part
    made.filters["lines"] = lambda text: _lines(str(text))
    return made


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """One page. `nav` in values says which entry of the menu is this one; none for pages opened by a link."""
    portal = portal_of(request)
    now = portal.now()
    facts = _facts(portal)
    token = request.cookies.get(COOKIE)
    values.setdefault("person", None)
    values.setdefault("nav", None)
    values.setdefault("contact", None)
    here = quote(request.url.path, safe="/:@!$&'()*+,;=") + (f"?{request.url.query}" if request.url.query else "")
    text = (
        _environment()
        .get_template(template)
        .render(
            lang=spoken(),
            languages=[(code, name, with_language(here, code)) for code, name in LANGUAGES.items() if code != spoken()],
            facts=facts,
            now=now,
            when=lambda moment: when(moment, now),
            day=lambda value, week=True: day(value, now, week=week),
            local_mailbox=not portal.settings.mail_url,
            csrf=portal.csrf(token) if token else "",
            runs_url=f"http://127.0.0.1:{portal.settings.prefect_port}/v2/runs",
            path=request.url.path,
            **labels(),
            **values,
        )
    )
    asked = asked_in_address(request.scope)
    return HTMLResponse(handed_on(text, asked) if asked else text, status_code=status)


def _facts(portal: Portal) -> dict[str, Any]:
    try:
        return views.office_facts(portal.db)
    except Exception:  # an error page must not fail for want of a database
        return {"sample": False, "place": "", "departments": {}}


def desk_path(request: Request) -> str:
    """The address of the desk this request is about: `/d/{token}` without what follows."""
    return "/".join(request.url.path.split("/")[:3])


def error_page(request: Request, message: str | Refusal, status: int) -> HTMLResponse:
    """A refusal as a page: what happened and what to do; of a link that has ended also who decided and a new one."""
    try:
        person = signed_in(request)
    except Exception:
        person = None
    shown, dead = message, None
    if isinstance(message, Refusal):
        shown, dead = told(message), message.details if message.code == "dead_link" else None
    values = {"message": shown, "status_code": status, "dead": dead, "desk_path": desk_path(request)}
    return render(request, "refusal.html", status, person=person, nav="" if dead is None else None, **values)
