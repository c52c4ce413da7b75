"""The desk behind the link in a notice: what lies open for one person in one change, as page and as JSON.

GET shows, POST decides. Whoever holds the link is the person it was sent to; it dies when the person leaves the change.
"""

from __future__ import annotations

import secrets as random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response

from models.actions import desk as verbs
from models.actions import renewing, steering, views
from models.domain.content import FIELD_BY_NAME, ITEM_TYPES, fields_for
from models.domain.differences import field_differences, field_text
from models.domain.errors import BadInput, Conflict, ProofNeeded, Refusal, Unknown
from models.domain.law_reach import LISTS, article_key, articles_touched
from models.domain.proof import Shown
from models.domain.vocabulary import STAGE_NAMES, STAGE_VERB
from models.words import N_, _, _n, _p
from notifications.links import check_token, read_token
from portal.fields import bases_of, basis_texts
from portal.link import open_link
from portal.pages import desk_path, law_pair, render, sides, told
from portal.proof import keep_browser, mail_sign_in, proof_json, prove, send_code, shown_proof, ways
from portal.state import (
    Portal,
    check_origin,
    first,
    guessing,
    plain,
    portal_of,
    read_form,
    read_json,
    wants_json,
)

router = APIRouter(include_in_schema=False)
#: Adjustments of one sheet on one page; the verdict on the whole sheet goes for all of them.
ON_A_PAGE = 50
Form = Mapping[str, list[str]]


@router.api_route("/d/{token}", methods=["GET", "HEAD"])
def show(request: Request, token: str, page: int = 1, done: str = "") -> Response:
    """The desk as it stands. Nothing is decided or changed by looking."""
    person_id, change_id = open_link(request, token)
    lies = lying(request, person_id, change_id)
    if wants_json(request):
        return JSONResponse({**lies, "proved": proof_json(shown_proof(request, person_id))})
    answer = None if not done else views.recorded(portal_of(request).db, person_id=person_id, request_id=done)
    return desk_page(request, lies, page=page, recorded=answer, acted=ACTED.get(done, ""))


def lying(request: Request, person_id: str, change_id: str) -> dict[str, Any]:
    """What lies open on a desk."""
    portal = portal_of(request)
    return verbs.desk(
        portal.db, person_id=person_id, change_id=change_id, now=portal.now(), office_proof=portal.settings.proof
    )


@router.post("/d/{token}")
async def submit(request: Request, token: str) -> Response:
    """Record what the person decided, all or nothing; then the change is woken."""
    check_origin(request)
    # Before the body is read: who has no link makes no work.
    whose = await run_in_threadpool(open_link, request, token)
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        return await run_in_threadpool(_decide_json, request, whose, await read_json(request))
    return await run_in_threadpool(_decide_form, request, whose, token, await read_form(request))


@router.post("/d/{token}/renew")
def renew(request: Request, token: str) -> Response:
    """Mail a new link instead of a dead one, to the registered address alone; the answer is always the same."""
    portal = portal_of(request)
    check_origin(request)
    with guessing(request):
        parts = read_token(token)
        portal.limits.renewal.take(parts.link_id)
        renewing.renew(
            portal.db,
            link_id=parts.link_id,
            check=lambda link: check_token(parts, link, portal.secrets),
            now=portal.now(),
        )
    return JSONResponse({"done": "renew"}) if wants_json(request) else render(request, "renewed.html")


#: What the page says after an act of whoever answers for what others are late with.
ACTED = {"urge": N_("已催办，通知即将送达。"), "reassign": N_("已转交，通知即将送达。")}


@router.post("/d/{token}/urge")
async def urge(request: Request, token: str) -> Response:
    """Urge those who are late: JSON or form with `step`, `reason`."""
    return await _supervising(request, token, "urge")


@router.post("/d/{token}/reassign")
async def reassign(request: Request, token: str) -> Response:
    """Hand on what those who are late hold: JSON or form with `step`, `reason`, `assignment`, `to`."""
    return await _supervising(request, token, "reassign")


async def _supervising(request: Request, token: str, act: str) -> Response:
    check_origin(request)
    whose = await run_in_threadpool(open_link, request, token)
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        body = await read_json(request)
        # Clients that speak JSON show who they are at the two addresses of `portal/proof.py`.
        fields = {k: [str(v)] for k, v in body.items() if v is not None and k not in ("prove", "code")}
    else:
        fields = await read_form(request)
    return await run_in_threadpool(_supervise, request, whose, token, act, fields)


def _supervise(request: Request, whose: tuple[str, str], token: str, act: str, form: Form) -> Response:
    portal = portal_of(request)
    person_id, change_id = whose
    shown = shown_proof(request, person_id)
    said: dict[str, Any] = {
        "step_id": first(form, "step"),
        "change_id": change_id,
        "by": person_id,
        "reason": first(form, "reason").strip()[:4000],
        "via": "link",
        "proof": "none" if shown is None else shown.kind,
        "office_proof": portal.settings.proof,
        "now": portal.now(),
        "collect_minutes": portal.settings.collect_minutes,
    }
    shown_now: Shown | None = None
    try:
        how, code = first(form, "prove"), first(form, "code").strip()
        if how in ("send", "sign_in"):
            return _proving(request, whose, form, how, acting=act)
        if how == "check" or code:
            shown_now = prove(request, person_id, code)
            said["proof"] = shown_now.kind
        if how == "check":
            lies = lying(request, person_id, change_id)
            return desk_page(request, lies, typed=form, acting=act, proof={"shown": shown_now})
        if act == "urge":
            steering.urge(portal.db, **said)
        else:
            if not first(form, "to"):
                raise BadInput("field_missing", "“转交给”未填写，未作任何改动。", field="to")
            steering.reassign(portal.db, to=first(form, "to"), assignment_id=first(form, "assignment") or None, **said)
    except Refusal as refusal:
        if isinstance(refusal, ProofNeeded):
            refusal.details["ways"] = ways(bool(refusal.details.get("shared")))
        if wants_json(request):
            raise
        lies = lying(request, person_id, change_id)
        more = {} if shown_now is None else {"shown": shown_now}
        return desk_page(request, lies, typed=form, refusal=refusal, status=refusal.status, acting=act, proof=more)
    portal.wake(change_id)
    if wants_json(request):
        lies = lying(request, person_id, change_id)
        return JSONResponse({"done": act, "supervised": lies["supervised"]})
    return RedirectResponse(f"/d/{token}?done={act}", 303)


def _decide(
    request: Request, person_id: str, change_id: str, body: dict[str, Any], shown: Shown | None = None
) -> dict[str, Any]:
    portal = portal_of(request)
    shown = shown or shown_proof(request, person_id)
    try:
        decided = verbs.decide(
            portal.db,
            person_id=person_id,
            change_id=change_id,
            body=body,
            via="link",
            proof="none" if shown is None else shown.kind,
            office_proof=portal.settings.proof,
            address=request.client.host if request.client else "",
            agent=request.headers.get("user-agent", ""),
            now=portal.now(),
        )
    except ProofNeeded as refusal:
        refusal.details["ways"] = ways(bool(refusal.details.get("shared")))
        raise
    if decided.wake is not None:
        portal.wake(change_id)
    return decided.answer


def _decide_json(request: Request, whose: tuple[str, str], body: dict[str, Any]) -> Response:
    return JSONResponse(_decide(request, *whose, body))


def _decide_form(request: Request, whose: tuple[str, str], token: str, form: Form) -> Response:
    portal = portal_of(request)
    person_id, change_id = whose
    shown: Shown | None = None
    try:
        act, code = first(form, "prove"), first(form, "code").strip()
        if act in ("send", "sign_in"):
            return _proving(request, whose, form, act)
        if act == "check" or code:
            shown = prove(request, person_id, code)
        if act == "check":
            lies = lying(request, person_id, change_id)
            return desk_page(request, lies, typed=form, page=_page(form), proof={"shown": shown})
        body = body_of(portal, person_id, form)
        _decide(request, person_id, change_id, body, shown)
    except Refusal as refusal:
        if isinstance(refusal, Unknown) or wants_json(request):
            raise
        lies = lying(request, person_id, change_id)
        return desk_page(
            request,
            lies,
            typed=form,
            refusal=refusal,
            page=_page(form),
            status=refusal.status,
            proof={} if shown is None else {"shown": shown},
        )
    if wants_json(request):
        return JSONResponse(views.recorded(portal.db, person_id=person_id, request_id=body["request_id"]) or {})
    return RedirectResponse(f"/d/{token}?done={body['request_id']}", 303)


def _proving(request: Request, whose: tuple[str, str], form: Form, act: str, acting: str = "") -> Response:
    """The same page with what was typed, and a code or a sign-in link on its way."""
    person_id, change_id = whose
    lies = lying(request, person_id, change_id)
    if act == "sign_in":
        address = mail_sign_in(request, person_id)
        words = _("登录链接已发往 %(address)s。请在这台设备上打开并登录，再回到本页提交。", address=address)
        return desk_page(request, lies, typed=form, page=_page(form), acting=acting, proof={"sent": words})
    address, browser = send_code(request, lies, first(form, "step") if acting else "")
    words = _("验证码已发往 %(address)s，10 分钟内有效。", address=address)
    answer = desk_page(request, lies, typed=form, page=_page(form), acting=acting, proof={"sent": words})
    keep_browser(request, answer, browser)
    return answer


def _proof(request: Request, lies: Mapping[str, Any], refusal: Refusal | None, more: Mapping[str, Any]) -> Any:
    """What the page says of the proof; None where nothing that lies open, or late, asks for one."""
    asking = [one["stage"] for one in lies["assignments"] if one["proof"] != "none"]
    late = any(asked != "none" for one in lies["supervised"] if one["acts"] for asked in one["proof"].values())
    if not asking and not late:
        return None
    wrong = refusal is not None and (
        refusal.code in ("code_wrong", "code_expired") or refusal.details.get("field") == "code"
    )
    found = {
        "own": bool(asking),
        "late": late,
        "shared": lies["shared"],
        "stage": _words_of(asking),
        "sent": "",
        "fault": told(refusal) if refusal is not None and wrong else "",
        "shown": shown_proof(request, lies["person"]["id"]),
        **more,
    }
    if lies["shared"] and found["shown"] is not None and found["shown"].kind != "session":
        found["shown"] = None
    return found


def _words_of(stages: Sequence[str]) -> str:
    return _("、").join(_(STAGE_NAMES[stage]) for stage in dict.fromkeys(stages))


def _page(form: Form) -> int:
    text = first(form, "page", "1")
    return int(text) if text.isdecimal() and len(text) < 6 else 1


# --- from a form to a submission -----------------------------------------------------------------------------------


def body_of(portal: Portal, person_id: str, form: Form) -> dict[str, Any]:
    """The submission a form stands for. Sheets without any verdict stay on the desk."""
    ids = [name.removeprefix("revision-") for name in form if name.startswith("revision-")]
    known = views.form_members(portal.db, assignment_ids=ids, person_id=person_id)
    decisions = []
    for assignment in ids:
        if assignment in known:
            decision = _decision(portal, form, assignment, *known[assignment])
            if decision is not None:
                decisions.append(decision)
    if not decisions:
        if known:
            raise BadInput("verdict_missing", "尚未选择办理结论。")
        raise BadInput("nothing_to_decide", "本次提交没有您可办理的待办，未作任何改动。")
    return {"request_id": first(form, "request_id") or random.token_urlsafe(12), "decisions": decisions}


def _decision(portal: Portal, form: Form, assignment: str, stage: str, members: Sequence[str]) -> dict[str, Any] | None:
    verdict = first(form, f"verdict-{assignment}")
    lines = {}
    together = _together(portal, form, assignment) if stage == "scope" else {}
    shown = {m: first(form, f"shown-{m}") for m in members if f"shown-{m}" in form} if stage == "draft" else {}
    contents = views.shown_proposals(portal.db, shown=shown) if shown else {}
    said = 0
    for member in members:
        own = first(form, f"verdict-{assignment}-{member}") or together.get(member, "")
        remark = first(form, f"remark-{member}").strip()
        proposal = _proposal(form, member, contents.get(member)) if stage == "draft" else None
        said += bool(own)
        if own or remark or proposal:
            line: dict[str, Any] = {"remark": remark}
            if own:
                line["verdict"] = own
            if proposal:
                line["proposal"] = proposal
            if member in shown:
                line["revision"] = shown[member]
            lines[member] = line
    if not verdict:
        if not said:
            return None
        if said < len(members):
            raise BadInput("verdict_missing", "有的事项已选意见，但整单意见还没有选：请选整单意见，或者逐项都选。")
        verdict = _whole([str(line["verdict"]) for line in lines.values() if "verdict" in line])
    return {
        "assignment": assignment,
        "revision": first(form, f"revision-{assignment}"),
        "verdict": verdict,
        "comment": first(form, f"comment-{assignment}").strip(),
        "adjustments": lines,
    }


def _together(portal: Portal, form: Form, assignment: str) -> dict[str, str]:
    """What is said at the scope of all rows of one sort at once (`all-{assignment}-{sort}`), by adjustment."""
    head = f"all-{assignment}-"
    said = {name.removeprefix(head): first(form, name) for name in form if name.startswith(head) and first(form, name)}
    if not said:
        return {}
    sorts = views.sorts_of(portal.db, assignment_id=assignment)
    return {adjustment: said[sort] for adjustment, sort in sorts.items() if sort in said}


def _whole(verdicts: Sequence[str]) -> str:
    """Every line has its own verdict: the whole is what they share, else the one that carries the others on."""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    for carrying in ("pass", "approve", "submit", "confirm"):
        if carrying in verdicts:
            return carrying
    return verdicts[0]


def _proposal(form: Form, member: str, shown: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields whose text differs from what the page showed."""
    head = f"field-{member}-"
    found: dict[str, Any] = {}
    for name in FIELD_BY_NAME:
        if head + name in form:
            value = first(form, head + name).replace("\r\n", "\n")
            if shown is None or value.strip() != plain(shown.get(name)).strip():
                found[name] = value
    bases = bases_of(form, head + "bases-")
    if bases is not None and (shown is None or bases != [basis_texts(b) for b in shown.get("bases") or ()]):
        found["bases"] = [{key: value or None for key, value in basis.items()} for basis in bases]
    return found


# --- the page ------------------------------------------------------------------------------------------------------


def desk_page(
    request: Request,
    lies: dict[str, Any],
    *,
    page: int = 1,
    typed: Form | None = None,
    refusal: Refusal | None = None,
    recorded: dict[str, Any] | None = None,
    acted: str = "",
    status: int = 200,
    proof: Mapping[str, Any] | None = None,
    acting: str = "",
) -> Response:
    """The desk as a page; after a refusal with everything that was typed and each fault named.

    `acting` is the act on what others are late with whose form was sent; it gets the answer instead of the desk's own.
    """
    portal = portal_of(request)
    departments = views.office_facts(portal.db)["departments"]
    sheets = _sheets(portal, lies, page, departments)
    number = sum(sheet["total"] for sheet in sheets)
    moved = _moved(refusal)

    def kept(name: str, standing: Any = "") -> str:
        """What was typed, else what stands."""
        if typed is not None and name in typed:
            return first(typed, name)
        return plain(standing)

    # The form that was sent, by what stands behind the `#` of its parts.
    sent = "" if typed is None or not acting else (kept("assignment") if acting == "reassign" else kept("step"))
    values: dict[str, Any] = {
        "lies": lies,
        "sheets": sheets,
        "articles": _articles([line for sheet in sheets for line in sheet["lines"]]),
        "items": number,
        "kept": kept,
        "typed": typed is not None,
        "moved": moved,
        "refusal": refusal,
        "faults": _faults(refusal, lies, moved, f"-{sent}" if sent else ""),
        "sent": sent,
        "recorded": recorded,
        "acted": acted,
        "late": lies["supervised"],
        "desk_path": desk_path(request),
        "request_id": random.token_urlsafe(12),
        "departments": sorted(departments.items(), key=lambda pair: pair[1]),
        "types": sorted(ITEM_TYPES.items()),
        "title": _title(lies, number),
        "person": lies["person"],
        "nav": None,
        "contact": lies["change"]["coordinator"],
        "page": page,
        "proof": _proof(request, lies, refusal, proof or {}),
        "most_remarks": verbs.REMARKS,
    }
    return render(request, "desk.html", status, **values)


class _Part(NamedTuple):
    """The lines of a sheet that one page shows, and how many stand before them."""

    lines: Sequence[Mapping[str, Any]]
    before: int
    here: int
    pages: int


def _part(assignment: Mapping[str, Any], page: int) -> _Part:
    pages = max(1, -(-len(assignment["adjustments"]) // ON_A_PAGE))
    here = min(max(1, page), pages)
    before = (here - 1) * ON_A_PAGE
    return _Part(assignment["adjustments"][before : before + ON_A_PAGE], before, here, pages)


def _sheets(portal: Portal, lies: Mapping[str, Any], page: int, departments: Mapping[str, str]) -> list[dict[str, Any]]:
    """What lies open, sheet by sheet, with the lines of one page of each; lines are numbered through all sheets."""
    parts = [_part(assignment, page) for assignment in lies["assignments"]]
    beside = views.law_beside(portal.db, lines=[line for part in parts for line in part.lines])
    clock = views.clock(portal.db, now=portal.now())
    sheets: list[dict[str, Any]] = []
    number = 0
    for assignment, part in zip(lies["assignments"], parts, strict=True):
        total, pages, here = len(assignment["adjustments"]), part.pages, part.here
        lines = [
            _line(number + n, line, assignment, beside.get(line["id"], []), departments, portal)
            for n, line in enumerate(part.lines, start=part.before + 1)
        ]
        due = date.fromisoformat(assignment["due"]) if assignment["due"] else None
        shown = {"total": total, "sorts": _sorts(assignment), "stands": clock.due(due), "pages": pages, "page": here}
        sheets.append({**assignment, **shown, "lines": lines})
        number += total
    return sheets


def _title(lies: Mapping[str, Any], items: int) -> str:
    if not lies["assignments"] and lies["supervised"]:
        return _n("待您督促：%(n)s 件", len(lies["supervised"]))
    if not lies["assignments"]:
        return _("目前没有待您办理的事项")
    stages = list(dict.fromkeys(one["stage"] for one in lies["assignments"]))
    verb = _p("verb", STAGE_VERB.get(stages[0], "办理")) if len(stages) == 1 else _p("verb", "办理")
    sheets, number = len(lies["assignments"]), _n("%(n)s 项", items)
    if sheets > 1:
        number = _n("%(n)s 份调整单、%(items)s", sheets, items=number)
    return _("待您%(verb)s：%(number)s", verb=verb, number=number)


def _line(
    number: int,
    line: Mapping[str, Any],
    assignment: Mapping[str, Any],
    beside: Sequence[Mapping[str, Any]],
    departments: Mapping[str, str],
    portal: Portal,
) -> dict[str, Any]:
    before, proposed, returned = line["before"], line["proposed"], line["last_returned"]
    cancelled = "cancel" in line["outcomes"]
    differences = [] if line["declined"] else _rows(before, proposed, departments)
    allowed = [name for name in FIELD_BY_NAME if any(name in fields_for(o) for o in line["outcomes"])]
    return {
        **line,
        "number": number,
        "cancelled": cancelled,
        "type_name": ITEM_TYPES.get(str((proposed or before or {}).get("type")), ""),
        "differences": differences,
        "since_returned": None if returned is None else _rows(returned, proposed, departments),
        "law": [law_pair(pair) for pair in beside],
        "fields": [
            {
                "info": FIELD_BY_NAME[name],
                "value": (proposed or {}).get(name),
                "before": field_text(name, before, departments) if before else "",
            }
            for name in allowed
            if name not in ("extra", "code") and not cancelled and proposed is not None
        ],
    }


def _articles(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The changed articles of this page in the order of the new text, each with the place of its words and the items concerned.

    Each pair of texts beside an adjustment gets an `id`, and the places of the article before and after it.
    """
    first_at: dict[tuple[int, ...], dict[str, str]] = {}
    for line in lines:
        for n, pair in enumerate(line["law"], start=1):
            pair["id"] = f"law-{line['id']}-{n}"
            name = (pair["new"] or pair["old"])["article"]
            first_at.setdefault(pair["key"], {"to": f"#{pair['id']}", "name": name})
    names = {line["id"]: line["target"]["name"] for line in lines}
    rows = [
        {**row, "at": first_at.get(article_key(row)), "named": [(one, names[one]) for one in row["lines"]]}
        for row in articles_touched(lines)
    ]
    order = list(dict.fromkeys(article_key(row) for row in rows if row["at"] is not None))
    for line in lines:
        for pair in line["law"]:
            here = order.index(pair["key"])
            pair["previous"] = first_at[order[here - 1]] if here else None
            pair["next"] = first_at[order[here + 1]] if here + 1 < len(order) else None
    return rows


def _rows(before: Any, after: Any, departments: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for difference in field_differences(before, after, departments):
        old, new = sides(difference.before_text, difference.after_text)
        found.append({"label": difference.label, "old": old, "new": new, "field": difference.field})
    return found


def _sorts(assignment: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The lists of the reach that a scope step shows, each with its number of rows."""
    if assignment["stage"] != "scope":
        return []
    count = Counter(line["hint"].get("list", "rows") for line in assignment["adjustments"])
    return [(part, count[part]) for part in LISTS if count[part]]


def _moved(refusal: Refusal | None) -> dict[str, list[dict[str, Any]]]:
    """For a 409: the fields that somebody changed meanwhile, by adjustment."""
    found: dict[str, list[dict[str, Any]]] = {}
    if isinstance(refusal, Conflict):
        for conflict in refusal.details.get("conflicts") or []:
            info = FIELD_BY_NAME.get(conflict["field"])
            label = _(info.label_zh) if info is not None else _("内容")
            yours = field_text(conflict["field"], {conflict["field"]: conflict["yours"]})
            theirs = field_text(conflict["field"], {conflict["field"]: conflict["theirs"]})
            found.setdefault(conflict["adjustment"], []).append(
                {**conflict, "label": label, "mine": yours, "other": theirs}
            )
    return found


def _faults(
    refusal: Refusal | None,
    lies: Mapping[str, Any],
    moved: Mapping[str, Sequence[Mapping[str, Any]]],
    where: str = "",
) -> list[dict[str, str]]:
    """One line and one address in the page for each fault; `where` ends the address of a proof in a form of its own."""
    if refusal is None:
        return []
    names = {line["id"]: line["target"]["name"] for one in lies["assignments"] for line in one["adjustments"]}
    found = []
    for adjustment, changes in moved.items():
        for change in changes:
            by = (change["by"] or {}).get("name", _("系统"))
            name = names.get(adjustment, "")
            if change["field"] == "*":
                words = _("%(item)s：%(name)s修改了内容。", item=name, name=by)
            else:
                words = _(
                    "%(item)s：“%(field)s”您填“%(mine)s”，%(name)s改为“%(other)s”。",
                    item=name, field=change["label"], mine=change["mine"], name=by, other=change["other"],
                )  # fmt: skip
            found.append({"to": f"#adj-{adjustment}", "text": words})
    if found:
        return found
    about, field = refusal.details.get("adjustment"), refusal.details.get("field")
    if isinstance(refusal, ProofNeeded) or field == "code":
        return [{"to": f"#proof{where}", "text": told(refusal)}]
    if about:
        address = f"#f-{about}-{field}" if field else f"#adj-{about}"
    else:
        address = f"#whole-{lies['assignments'][0]['id']}" if lies["assignments"] else "#main"
    return [{"to": address, "text": told(refusal)}]
