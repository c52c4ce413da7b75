"""Starting a change in the portal: see its reach first; a preview registers nothing and tells nobody."""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from models.actions import starting, views
from models.domain.content import FIELD_BY_NAME, ITEM_TYPES, fields_for
from models.domain.errors import BadInput, Refusal
from models.domain.vocabulary import OUTCOME_NAMES
from models.reference.procedures import shipped
from models.store.office import PersonRow
from portal.fields import BASIS_PARTS, bases_of, basis_texts
from portal.pages import render
from portal.state import check_csrf, coordinator, first, plain, portal_of, read_form

router = APIRouter(include_in_schema=False)
Form = Mapping[str, list[str]]


@router.api_route("/start", methods=["GET", "HEAD"])
def choose(request: Request) -> Response:
    """Which trigger."""
    return render(request, "start.html", nav="start", person=coordinator(request))


@router.api_route("/start/law_change", methods=["GET", "HEAD"])
def law_change(request: Request, law: str = "") -> Response:
    """The form of a law change."""
    return _law_page(request, coordinator(request), {"law": [law]} if law else {})


@router.post("/start/law_change")
async def start_law_change(request: Request) -> Response:
    """Preview or register a law change."""
    return await run_in_threadpool(_law, request, await read_form(request))


def _law(request: Request, form: Form) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    params: dict[str, Any] = {
        "title": first(form, "title").strip(),
        "law": first(form, "law").strip().strip("《》"),
        "from_version": first(form, "from_version"),
        "to_version": first(form, "to_version") or None,
        "effective_on": first(form, "effective_on") or None,
        "reason": first(form, "reason").strip(),
    }
    out = [{"item": item, "reason": first(form, "out_reason").strip()} for item in form.get("out", ())]
    if out:
        params["take_out"] = out
    if not params["title"]:
        edition = params["to_version"]
        params["title"] = f"《{params['law']}》{str(edition)[:4] + '年文本' if edition else '废止'}"
    try:
        if first(form, "do") == "law":
            return _law_page(request, who, form)
        if out and not out[0]["reason"]:
            raise BadInput("comment_required", "移出事项须写明理由，请填在“移出理由”中。", field="out_reason")
        if first(form, "do") == "start":
            return _register(request, who, "law_change", params, form)
        shown = starting.preview(
            portal_of(request).db, trigger="law_change", params=params, now=portal_of(request).now()
        )
    except Refusal as refusal:
        return _law_page(request, who, form, refusal=refusal, preview=_still(request, params, refusal))
    return _law_page(request, who, {**form, "title": [str(params["title"])]}, preview=shown)


def _still(request: Request, params: Mapping[str, Any], refusal: Refusal) -> starting.Preview | None:
    """The rows stay on the page where only the reason for taking some out is missing."""
    if refusal.code != "comment_required":
        return None
    portal, bare = portal_of(request), {name: value for name, value in params.items() if name != "take_out"}
    return starting.preview(portal.db, trigger="law_change", params=bare, now=portal.now())


def _law_page(
    request: Request,
    who: PersonRow,
    form: Form,
    *,
    preview: starting.Preview | None = None,
    refusal: Refusal | None = None,
) -> Response:
    laws = views.laws_page(portal_of(request).db)
    title = first(form, "law").strip().strip("《》")
    editions: list[str] = next((law["editions"] for law in laws if law["title"] == title), [])
    return render(
        request,
        "start_law.html",
        200 if refusal is None else refusal.status,
        nav="start",
        person=who,
        laws=laws,
        editions=editions,
        typed=lambda name, standing="": first(form, name, standing),
        preview=preview,
        refusal=refusal,
        out=set(form.get("out", ())),
        key=first(form, "idempotency_key") or f"portal-{random.token_urlsafe(12)}",
    )


def _register(request: Request, who: PersonRow, trigger: str, params: dict[str, Any], form: Form) -> Response:
    portal = portal_of(request)
    made = starting.register(
        portal.db,
        trigger=trigger,
        params=params,
        by=who.id,
        via="portal",
        key=first(form, "idempotency_key") or None,
        again=bool(first(form, "again")),
        now=portal.now(),
    )
    done = "existing" if made.existing else "started" if portal.start(made.id) else "away"
    return RedirectResponse(f"/changes/{made.id}?done={done}", 303)


# --- agency request ------------------------------------------------------------------------------------------------


@router.api_route("/start/agency_request", methods=["GET", "HEAD"])
def agency_request(request: Request) -> Response:
    """The form of an agency request."""
    return _agency_page(request, coordinator(request), {})


@router.post("/start/agency_request")
async def start_agency_request(request: Request) -> Response:
    """Add an item, preview, or register."""
    return await run_in_threadpool(_agency, request, await read_form(request))


def _agency(request: Request, form: Form) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    do = first(form, "do")
    portal = portal_of(request)
    try:
        if do == "add":
            return _agency_page(request, who, _with_item(request, form))
        if do.startswith("drop-"):
            left = {k: v for k, v in form.items() if k != f"outcome-{do[5:]}"}
            return _agency_page(request, who, left)
        params = _agency_params(request, form)
        if do == "start":
            return _register(request, who, "agency_request", params, form)
        shown = starting.preview(portal.db, trigger="agency_request", params=params, now=portal.now())
    except Refusal as refusal:
        return _agency_page(request, who, form, refusal=refusal)
    return _agency_page(request, who, form, preview=shown)


def _numbers(form: Form) -> list[int]:
    return sorted(int(n) for name in form if name.startswith("outcome-") and (n := name[8:]).isdecimal() and len(n) < 6)


def _with_item(request: Request, form: Form) -> Form:
    """One more item, with the outcome chosen for it."""
    code, outcome = first(form, "code").strip(), first(form, "outcome")
    if outcome not in OUTCOME_NAMES:
        raise BadInput("field_missing", "请选择调整类型。", field="outcome")
    if outcome != "add":
        if not code:
            raise BadInput("field_missing", "“事项编码”未填写：请填写编码，或者从事项目录复制。", field="code")
        views.item_json(portal_of(request).db, code=code)
    number = max([0, *_numbers(form)]) + 1
    return {**form, f"outcome-{number}": [outcome], f"code-{number}": [code], "code": [""], "outcome": [""]}


def _agency_params(request: Request, form: Form) -> dict[str, Any]:
    items = []
    for number in _numbers(form):
        outcome, code = first(form, f"outcome-{number}"), first(form, f"code-{number}")
        standing = {} if outcome == "add" else views.item_json(portal_of(request).db, code=code)
        values = _values(form, number, outcome, standing)
        items.append(
            {
                "target": None if outcome == "add" else {"kind": standing["kind"], "code": code},
                "outcomes": [outcome],
                "set": values,
            }
        )
    if not items:
        raise BadInput("field_missing", "还没有加入事项：请先填写编码、选择调整类型，再点“加入”。", field="code")
    return {
        "title": first(form, "title").strip(),
        "reason": first(form, "reason").strip(),
        "effective_on": first(form, "effective_on") or None,
        "items": items,
    }


def _values(form: Form, number: int, outcome: str, standing: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that differ from the standing version."""
    head = f"set-{number}-"
    found: dict[str, Any] = {}
    for name in fields_for(outcome):
        if name == "bases":
            bases = bases_of(form, head + "bases-")
            if bases is not None and bases != [basis_texts(b) for b in standing.get("bases") or ()]:
                found["bases"] = [{key: value or None for key, value in basis.items()} for basis in bases]
        elif head + name in form:
            value = first(form, head + name).replace("\r\n", "\n").strip()
            held = standing.get(name)
            if name == "department":
                held = (held or {}).get("id") if isinstance(held, Mapping) else held
            if value != plain(held).strip():
                found[name] = value
    return found


def _agency_page(
    request: Request,
    who: PersonRow,
    form: Form,
    *,
    preview: starting.Preview | None = None,
    refusal: Refusal | None = None,
) -> Response:
    portal = portal_of(request)
    departments = views.office_facts(portal.db)["departments"]
    rows = []
    for number in _numbers(form):
        outcome, code = first(form, f"outcome-{number}"), first(form, f"code-{number}")
        standing: dict[str, Any] = {} if outcome == "add" else views.item_json(portal.db, code=code)
        if isinstance(standing.get("department"), Mapping):
            standing = {**standing, "department": standing["department"]["id"]}
        fields = [
            {"info": FIELD_BY_NAME[name], "value": standing.get(name)}
            for name in fields_for(outcome)
            if name not in ("extra", "code")
        ]
        rows.append({"n": number, "outcome": outcome, "code": code, "item": standing, "fields": fields})
    return render(
        request,
        "start_agency.html",
        200 if refusal is None else refusal.status,
        nav="start",
        person=who,
        rows=rows,
        outcomes=list(shipped()),
        typed=lambda name, standing="": first(form, name, plain(standing)),
        preview=preview,
        refusal=refusal,
        departments=sorted(departments.items(), key=lambda pair: pair[1]),
        types=sorted(ITEM_TYPES.items()),
        parts=BASIS_PARTS,
        out=frozenset(),
        key=first(form, "idempotency_key") or f"portal-{random.token_urlsafe(12)}",
    )
