"""Commands that keep the data safe: `audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli.common import nothing_loaded, readable, say, say_json

Json = Annotated[bool, typer.Option("--json", help="只输出 JSON")]
_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    audit = typer.Typer(
        help="审计日志：校验、日结。The audit log: prove it, print the daily head.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    audit.command("verify")(audit_verify)
    audit.command("head")(audit_head)
    app.add_typer(audit, name="audit")


def audit_verify(
    change: Annotated[str | None, typer.Option("--change", metavar="N", help="只校验一个变更：编号或者标识")] = None,
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="SEQ:HASH", help="另存在外的日结，可以多个")
    ] = None,
    as_json: Json = False,
) -> None:
    """校验审计日志，以及日志所记的意见、拟调整内容和发布内容；指出第一处被改动、缺失或者多出的记录。

    Prove the log and what it vouches for. Exit code 0 untouched, 1 something found, 2 it could not be read.

    \b
    例 Example: shixiang audit verify --head 17:9f86d081884c7d65…
    """
    from models.actions.audit import verify

    db = readable() or nothing_loaded()
    try:
        report = verify(db, change=change, kept=head or [])
    finally:
        db.close()
    if as_json:
        say_json(report.as_json())
    else:
        for finding in report.findings[:_SHOWN]:
            say(finding.message)
        if len(report.findings) > _SHOWN:
            say(f"另有 {len(report.findings) - _SHOWN} 处。")
        unsealed = f"，其中 {report.unsealed} 条写于启用封存之前，只核对日志" if report.unsealed else ""
        counts = f"变更 {report.changes} 个，日志 {report.lines} 行，所记内容 {report.rows} 条{unsealed}"
        say(f"发现 {len(report.findings)} 处不符（{counts}）。" if report.findings else f"校验一致（{counts}）。")
        if report.head is not None:
            say(f"最近日结：{report.head['day']} {report.head['seq']}:{report.head['hash']}")
    raise typer.Exit(1 if report.findings else 0)


def audit_head(as_json: Json = False) -> None:
    """打印最近的日结，供定时另存到系统之外；以后用 `audit verify --head` 核对。Print the newest daily head.

    \b
    例 Example: shixiang audit head | mail -s 事项系统日结 audit@shili.example
    """
    from models.actions.audit import newest_head
    from models.domain.errors import Unknown

    db = readable() or nothing_loaded()
    try:
        head = newest_head(db)
    finally:
        db.close()
    if head is None:
        raise Unknown("no_head", "还没有日结：系统运行后，每天第一次巡检时生成。")
    if as_json:
        say_json(head)
    else:
        say(f"{head['seq']}:{head['hash']}  {head['day']}")
