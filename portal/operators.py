"""The operators' page: what Prefect's pages cannot show, and five safe acts that change no case."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from models.actions import operating
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Refusal
from models.words import N_, _
from portal.pages import render
from portal.state import Portal, check_csrf, coordinator, first, portal_of, read_form

router = APIRouter(include_in_schema=False)

DONE = {
    "wake": N_("已唤醒：流程引擎马上查看该变更，没有可办的就继续等待。"),
    "renew": N_("已另开运行，原运行结束；办理情况不变。"),
    "send_again": N_("已重新发送，邮件中注明可能重复。"),
    "deploy": N_("已通知流程引擎重新建立部署。"),
    "away": N_("流程引擎目前不在；它启动时会重新建立部署，不必重复操作。"),
    "pause": N_("已停止发起新的变更；在办的变更不受影响。"),
    "go_on": N_("已可以继续发起新的变更。"),
}
#: What an alarm says; `name` is what stands in Prefect's pages.
ALARMS = {
    "pool": N_("Prefect 中的工作池“%(name)s”已停用：意见照常记录，启用后自动继续。"),
    "queue": N_("Prefect 中的工作队列“%(name)s”已停用：意见照常记录，启用后自动继续。"),
    "watch": N_("Prefect 中巡检的定时已停用（“%(name)s”）：状态页不再更新，请启用。"),
    "waiting": N_(
        "有 %(n)s 个运行等待执行已超过 %(minutes)s 分钟（工作池“%(name)s”），请检查流程引擎和工作池。意见照常记录。"
    ),
    "sweep": N_("巡检已 %(minutes)s 分钟没有运行，请检查流程引擎和 Prefect 中“%(name)s”的定时。"),
}
#: A heartbeat older than this is shown as missing (seconds).
QUIET_SECONDS = 10


def alarms(portal: Portal) -> list[str]:
    """The sentences of what an operator must look at."""
    return [_(ALARMS[alarm.code], **alarm.values) for alarm in portal.operations.alarms()]


@router.api_route("/operators", methods=["GET", "HEAD"])
def page(request: Request, done: str = "") -> Response:
    """Open changes by age and lateness, their runs, the outbox, the engines, what is switched off."""
    return _page(request, done=done if done in DONE else "")


def _page(request: Request, *, done: str = "", refusal: Refusal | None = None) -> Response:
    who = coordinator(request)
    portal = portal_of(request)
    now = portal.now()
    found = operating.overview(portal.db, now=now, today=now.astimezone(SHANGHAI).date())
    runs = [row["run"] for row in found["changes"] if row["run"]]
    states = portal.operations.run_states(runs)
    for row in found["changes"]:
        name, over = (states or {}).get(row["run"], ("?", False))
        row["state"], row["disagrees"] = ("", row["days"] > 0) if row["run"] is None else (name, over)
    sweep = found["last_sweep"]
    return render(
        request,
        "operators.html",
        200 if refusal is None else refusal.status,
        nav="operators",
        person=who,
        found=found,
        missing=portal.missing(),
        alarms=alarms(portal),
        asked=states is not None,
        sweep_minutes=None if sweep is None else int((now - sweep).total_seconds() // 60),
        quiet=QUIET_SECONDS,
        done=done,
        words=DONE,
        refusal=refusal,
    )


@router.post("/operators/{act}")
async def operate(request: Request, act: str) -> Response:
    """One act: `wake`, `renew`, `send_again`, `deploy`, `pause` or `go_on`."""
    form = await read_form(request)
    return await run_in_threadpool(_operate, request, act, form)


def _operate(request: Request, act: str, form: Mapping[str, list[str]]) -> Response:
    who = coordinator(request)
    check_csrf(request, form)
    portal = portal_of(request)
    now, change_id = portal.now(), first(form, "change")
    try:
        if act == "wake":
            operating.wake(portal.db, change_id=change_id, by=who.id, now=now)
            portal.wake(change_id)
        elif act == "renew":
            run = operating.renew(portal.db, change_id=change_id, by=who.id, now=now)
            if run is not None:
                portal.operations.retire(run)
            portal.start(change_id)
        elif act == "send_again":
            operating.send_again(portal.db, notice_id=first(form, "notice"), now=now)
        elif act == "deploy":
            act = act if portal.operations.deploy() else "away"
        elif act == "pause":
            if not first(form, "reason").strip():
                raise BadInput("comment_required", "须写明理由：发起变更的人会看到它。")
            operating.pause_starts(portal.db, reason=first(form, "reason"))
        elif act == "go_on":
            operating.pause_starts(portal.db, reason="")
        else:
            raise BadInput("nothing_to_decide", "没有这种操作，未作任何改动。")
    except Refusal as refusal:
        return _page(request, refusal=refusal)
    return RedirectResponse(f"/operators?done={act}", 303)
