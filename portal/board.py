"""The coordinators' board, the page of a change, and the coordinator's acts, each with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response

from models.actions import law_table, steering, views
from models.domain.errors import BadInput, Refusal
from models.store.office import PersonRow
from models.words import N_
from portal.operators import alarms
from portal.pages import render
from portal.state import check_csrf, coordinator, first, portal_of, read_form, wants_json

router = APIRouter(include_in_schema=False)


@router.api_route("/board", methods=["GET", "HEAD"])
def board(
    request: Request,
    trigger: str = "",
    department: str = "",
    person: str = "",
    stage: str = "",
    q: str = "",
    due: str = "",
    late: str = "",
    page: int = 1,
) -> Response:
    """Open changes, the earliest due first."""
    who = coordinator(request)
    portal = portal_of(request)
    found = views.board(
        portal.db,
        person_id=who.id,
        trigger=trigger or None,
        department=department or None,
        person=person or None,
        late=bool(late),
        stage=stage or None,
        q=q or None,
        due=due or None,
        page=min(max(1, page), 10_000),
        now=portal.now(),
    )
    if wants_json(request):
        rows = [{"id": row["id"], "number": row["number"]} for row in found["rows"]]
        return JSONResponse({"rows": rows, **{key: found[key] for key in ("fitting", "total", "page", "pages")}})
    return render(
        request,
        "board.html",
        nav="board",
        person=who,
        board=found,
        missing=portal.missing(),
        alarms=alarms(portal),
    )


@router.post("/notices/{notice_id}/resend")
async def resend(request: Request, notice_id: str) -> Response:
    """Send a notice again that could not be delivered."""
    form = await read_form(request)
    return await run_in_threadpool(_resend, request, notice_id, form)


def _resend(request: Request, notice_id: str, form: Mapping[str, list[str]]) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    portal = portal_of(request)
    steering.resend(portal.db, notice_id=notice_id, by=who.id, now=portal.now())
    return RedirectResponse("/board#undelivered", 303)


@router.api_route("/changes/{change_id}", methods=["GET", "HEAD"])
def change(request: Request, change_id: str, done: str = "") -> Response:
    """One change: where each sheet stands, whom it waits for, what happened."""
    who = coordinator(request)
    return change_view(request, who, change_id, done=done)


@router.api_route("/changes/{change_id}/table", methods=["GET", "HEAD"])
def table(request: Request, change_id: str, whole: str = "") -> Response:
    """The articles of a law change side by side as a Word document; with `whole` unchanged articles stand in it too."""
    coordinator(request)
    portal = portal_of(request)
    now = portal.now()
    made = law_table.table_of_change(portal.db, change_id=change_id, whole=bool(whole), now=now)
    name = quote(law_table.file_name(made), safe="")
    return Response(
        law_table.as_document(made, now=now),
        media_type=law_table.MEDIA_TYPE,
        headers={"Content-Disposition": f"attachment; filename=\"table.docx\"; filename*=UTF-8''{name}"},
    )


def change_view(
    request: Request,
    who: PersonRow,
    change_id: str,
    *,
    done: str = "",
    refusal: Refusal | None = None,
    typed: Mapping[str, list[str]] | None = None,
    status: int = 200,
) -> Response:
    """The page, after a refused act with what was typed."""
    portal = portal_of(request)
    page = views.change_page(portal.db, change_id=change_id, now=portal.now())
    return render(
        request,
        "change.html",
        status,
        nav="board",
        person=who,
        page=page,
        done=done if done in DONE else "",
        words=DONE,
        refusal=refusal,
        typed=typed or {},
        contact=page["change"]["coordinator"],
    )


DONE = {
    "take_out": N_("已移出。"),
    "reassign": N_("已转交。"),
    "urge": N_("已催办，通知即将送达。"),
    "retry": N_("正在重试，请稍后刷新页面。"),
    "withdraw": N_("变更已撤回。"),
    "started": N_("变更已登记，流程开始后会通知有关人员。"),
    "existing": N_("同一法规同一文本的变更已在办理，已为您打开该变更。"),
    "away": N_("变更已登记。流程引擎目前连不上，连上后自动开始，不必重复提交。"),
}


@router.post("/changes/{change_id}/{act}")
async def steer(request: Request, change_id: str, act: str) -> Response:
    """One act of the coordinator: `take_out`, `reassign`, `urge`, `retry` or `withdraw`."""
    form = await read_form(request)
    return await run_in_threadpool(_steer, request, change_id, act, form)


def _steer(request: Request, change_id: str, act: str, form: Mapping[str, list[str]]) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    portal = portal_of(request)
    reason = first(form, "reason").strip()
    collect, now = portal.settings.collect_minutes, portal.now()
    try:
        if act == "take_out":
            adjustment = views.find_adjustment(portal.db, change_id=change_id, ref=first(form, "adjustment"))
            steering.take_out(
                portal.db, adjustment_id=adjustment, by=who.id, reason=reason, now=now, collect_minutes=collect
            )
        elif act == "reassign":
            if not first(form, "to"):
                raise BadInput("field_missing", "“转交给”未填写，未作任何改动。", field="to")
            steering.reassign(
                portal.db,
                step_id=first(form, "step"),
                to=first(form, "to"),
                by=who.id,
                reason=reason,
                now=now,
                collect_minutes=collect,
            )
        elif act == "urge":
            steering.urge(
                portal.db, step_id=first(form, "step"), by=who.id, reason=reason, now=now, collect_minutes=collect
            )
        elif act == "retry":
            steering.retry(portal.db, sheet_id=first(form, "sheet"), by=who.id, now=now)
        elif act == "withdraw":
            steering.withdraw(
                portal.db, change_id=change_id, by=who.id, reason=reason, now=now, collect_minutes=collect
            )
        else:
            raise BadInput("nothing_to_decide", "没有这种操作，未作任何改动。")
    except Refusal as refusal:
        if wants_json(request) or refusal.status == 404:
            raise
        return change_view(request, who, change_id, refusal=refusal, typed=form, status=refusal.status)
    portal.wake(change_id)
    return RedirectResponse(f"/changes/{change_id}?done={act}", 303)
