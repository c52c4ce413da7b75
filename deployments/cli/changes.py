"""Commands about changes: preview, start, show, list, withdraw."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.common import (
    Out,
    Whole,
    nothing_loaded,
    readable,
    reading,
    say,
    say_json,
    settings,
    standing,
    warn,
    write_document,
)

if TYPE_CHECKING:
    from models.store.database import Database

Json = Annotated[bool, typer.Option("--json", help="只输出 JSON")]
Trigger = Annotated[str, typer.Argument(metavar="TRIGGER", help="law_change 或者 agency_request")]
Params = Annotated[str, typer.Option("--params", metavar="FILE", help="参数的 JSON 文件；- 表示标准输入")]
By = Annotated[str, typer.Option("--by", metavar="PERSON", help="谁：编号、邮箱或者不重名的姓名")]
Id = Annotated[str, typer.Argument(metavar="ID", help="变更的编号")]
_STATES = ("open", "closed", "withdrawn")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    part = typer.Typer(help="变更：预览、发起、查看、撤回。", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (
        ("preview", preview),
        ("start", start),
        ("show", show),
        ("list", list_changes),
        ("table", table),
        ("withdraw", withdraw),
    ):
        part.command(name)(command)
    app.add_typer(part, name="change")


def read_params(source: str) -> dict[str, Any]:
    """The JSON object of `--params`. Raises BadInput file_unreadable."""
    from models.domain.errors import BadInput
    from models.intake.files import read_text, unreadable

    path = Path(source)
    try:
        value = json.loads(sys.stdin.read() if source == "-" else read_text(path))
    except json.JSONDecodeError as error:
        raise unreadable(path, f"不是完整的 JSON（第 {error.lineno} 行第 {error.colno} 列）") from None
    except (UnicodeDecodeError, RecursionError):
        raise unreadable(path, "编码或者内容无法识别") from None
    if not isinstance(value, dict):
        raise BadInput("field_invalid", '“--params”应为一个 JSON 对象，例如 {"title":"…"}。', field="params")
    return value


def preview(trigger: Trigger, params: Params, as_json: Json = False) -> None:
    """预览变更涉及的事项；不登记任何内容。See what a change would concern; nothing is written.

    \b
    例 Example: shixiang change preview law_change --params law.json --json
    """
    show_preview(trigger, read_params(params), as_json)


def show_preview(trigger: str, params: dict[str, Any], as_json: bool) -> None:
    """The reach of a change, as JSON or as lines."""
    from models import clock
    from models.actions.starting import preview as verb
    from models.domain.requests import read_request

    read_request(trigger, params)
    db = readable() or nothing_loaded()
    try:
        found = verb(db, trigger=trigger, params=params, now=clock.now())
    finally:
        db.close()
    if as_json:
        say_json(found.as_json())
        return
    for row in found.rows:
        mark = "" if row["certain"] else "（待人工核对）"
        say(f"{row['code'] or '—'}  {row['name']}  {row['department']['name'] or '—'}  {row['reason']}{mark}")
    say(f"涉及 {found.count} 项，{found.departments} 个部门，待人工核对 {found.uncertain} 项。")
    if found.left:
        say(f"另有 {len(found.left)} 项预选为“不调整”，在确认范围时一并确认：")
        for row in found.left:
            say(f"{row['code'] or '—'}  {row['name']}  {row['department']['name'] or '—'}  {row['reason']}")
    for one in found.hidden:
        say(f"规则“{one['name']}”已停用，未列入 {one['items']} 项（{one['by']['name']}：{one['reason']}）。")
    if found.not_found:
        warn(f"“take_out”中的 {'、'.join(found.not_found)} 不在涉及范围内。")


def start(
    trigger: Trigger,
    params: Params,
    by: By,
    key: Annotated[str | None, typer.Option(help="请求编号；同一编号只发起一次")] = None,
    again: Annotated[bool, typer.Option("--again", help="同一法规同一文本已在办理时，仍然另行发起")] = False,
    as_json: Json = False,
) -> None:
    """发起变更。Start a change.

    \b
    例 Example: shixiang change start agency_request --params request.json --by 周敏 --json
    """
    from models import clock
    from models.actions.starting import find_change
    from models.actions.starting import register as verb
    from models.domain.requests import read_request

    values = read_params(params)
    read_request(trigger, values)
    db = standing()
    try:
        made = verb(db, trigger=trigger, params=values, by=by, via="cli", key=key, again=again, now=clock.now())
        open_now = find_change(db, change_id=made.id)["state"] == "open"
        run = _start_run(db, made.id) if made.flow_run_id is None and open_now else made.flow_run_id
    finally:
        db.close()
    answer = {"id": made.id, "number": made.number, "flow_run_id": run, "existing": made.existing}
    if run is None and open_now:
        warn(f"变更 {made.number} 已登记。流程引擎目前连不上，连上后自动开始，不必重复提交。")
    if as_json:
        say_json(answer)
    elif made.existing:
        say(f"同一变更已在办理：{made.number}。确需另起的，请加 --again。")
    else:
        say(f"已登记变更 {made.number}（{made.id}）。")


def _start_run(db: Database, change_id: str) -> str | None:
    """Create the run of a change; None where Prefect is away: the engine starts it later."""
    from deployments.runs import Runs

    return Runs(db, settings()).start(change_id)


def show(change_id: Id, as_json: Json = False) -> None:
    """查看一个变更的全部内容。Show a change.

    \b
    例 Example: shixiang change show 2026-0015 --json
    """
    from models.domain.errors import Unknown
    from models.store import quick

    with reading() as read:
        found = quick.change(read, change_id)
    if found is None:
        raise Unknown("change_unknown", f"没有编号为 {change_id} 的变更。")
    if as_json:
        say_json(found)
        return
    say(f"{found['number']} {found['title']}  {found['state']} {found['phase']}")
    for sheet in [found, *found["sheets"]]:
        for step in sheet["steps"]:
            people = "、".join(wait["person"]["name"] for wait in step["waits_for"]) or "—"
            name = sheet.get("department", {}).get("name") or ""
            say(f"  {name} {step['stage_name']} 第 {step['round']} 轮 {step['state']} 时限 {step['due']} 等待 {people}")


def table(change_id: Id, out: Out, whole: Whole = False) -> None:
    """立改废释变更的修改前后对照表，逐条列明涉及事项（Word 文档）。A law change side by side with its items, as Word.

    \b
    例 Example: shixiang change table 2026-0015 --out 对照表.docx
    """
    from models import clock
    from models.actions.law_table import as_document, table_of_change

    db = readable() or nothing_loaded()
    now = clock.now()
    try:
        made = table_of_change(db, change_id=change_id, whole=whole, now=now)
    finally:
        db.close()
    write_document(out, as_document(made, now=now))
    say(f"已写入 {out}：列出条文 {len(made.rows)} 条，未列入 {made.left_out} 条。")


def list_changes(
    state: Annotated[str | None, typer.Option(help="open、closed 或者 withdrawn")] = None, as_json: Json = False
) -> None:
    """列出变更。List changes.

    \b
    例 Example: shixiang change list --state open --json
    """
    from models.domain.errors import BadInput

    if state is not None and state not in _STATES:
        raise BadInput("field_invalid", f"“--state”应为 {'、'.join(_STATES)} 之一，现为“{state}”。", field="state")
    from models.store import quick

    with reading() as read:
        found = quick.changes(read, state)
    if as_json:
        say_json(found)
        return
    for change in found:
        say(f"{change['number']}  {change['title']}  {change['state']} {change['phase']}  {change['id']}")


def withdraw(
    change_id: Id,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="撤回理由")],
    as_json: Json = False,
) -> None:
    """撤回尚未发布的变更，并通知已接到任务的人。Withdraw a change of which nothing is published.

    \b
    例 Example: shixiang change withdraw 2026-0015 --by 周敏 --reason 重复发起
    """
    from deployments.nudge import nudge
    from models import clock
    from models.actions.starting import find_change
    from models.actions.steering import withdraw as verb

    if readable() is None:
        from models.domain.errors import Unknown

        raise Unknown("change_unknown", f"没有编号为 {change_id} 的变更。")
    db = standing()
    chosen = settings()
    try:
        row = find_change(db, change_id=change_id)
        wake = verb(
            db,
            change_id=row["id"],
            by=by,
            reason=reason,
            via="cli",
            now=clock.now(),
            collect_minutes=chosen.collect_minutes,
        )
        nudge(chosen.home_path, row["id"])
        _wake(chosen, wake)
    finally:
        db.close()
    if as_json:
        say_json({"id": row["id"], "number": row["number"], "state": "withdrawn"})
    else:
        say(f"已撤回变更 {row['number']}。")


def _wake(chosen: Any, wake: Any) -> None:
    """Wake the sleeping run; where Prefect is away the engine's pulse does it later."""
    if not wake.parked or wake.flow_run_id is None:
        return
    from deployments.client import PrefectClient
    from deployments.prefect_server import api_url

    client = PrefectClient(api_url(chosen), timeout=2.0, patience=0.3)
    try:
        client.wake(wake)
    finally:
        client.close()
