"""Commands that keep the data safe: `audit`, `backup`, `restore`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.common import named_path, nothing_loaded, readable, say, say_json, settings, standing, warn

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
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("doctor")(doctor)


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


def backup(
    to: Annotated[
        Path | None,
        typer.Argument(metavar="[TO]", parser=named_path, help="文件或者文件夹；默认为数据目录下的 backups"),
    ] = None,
    with_secret: Annotated[
        bool, typer.Option("--with-secret", help="把链接密钥一并放入；有备份的人即可生成有效链接")
    ] = False,
    as_json: Json = False,
) -> None:
    """备份数据和文书，系统不必停。Back up data and documents while the system runs.

    \b
    例 Example: shixiang backup /mnt/backup
    """
    from deployments.backup import backup as verb
    from models import clock

    db = standing()
    try:
        made = verb(settings(), db, to=to, with_secret=with_secret, now=clock.now())
    finally:
        db.close()
    counts = made.facts.counts
    if as_json:
        say_json(
            {
                "path": str(made.path), "bytes": made.bytes, "secret": made.secret, "documents": made.documents,
                "revision": made.facts.revision, "counts": counts, "open": made.facts.open,
            }
        )  # fmt: skip
        return
    say(f"已备份到 {made.path}（{made.bytes / 1e6:.1f} MB）。")
    say(
        f"变更 {counts['change']} 个（在办 {made.facts.open} 个），意见 {counts['decision']} 条，文书 {made.documents} 份。"
    )
    say(
        "请另存到别的机器。"
        + ("其中含链接密钥，请妥善保管。" if with_secret else "不含链接密钥 secret.json，请单独保存。")
    )


def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", parser=named_path, help="备份文件")],
    replace: Annotated[bool, typer.Option("--replace", help="替换已有的数据；原有数据另存")] = False,
    as_json: Json = False,
) -> None:
    """从备份还原；在办的变更继续办理。Restore a backup; every open change goes on.

    Exit code 0 restored, 1 restored and the audit log shows something altered before the backup, 2 not restored.

    \b
    例 Example: shixiang restore shixiang-20261126-190000.tar.gz --replace
    """
    from deployments.backup import restore as verb
    from models import clock
    from models.actions.notices import at_text

    now = clock.now()
    done = verb(settings(), source, replace=replace, now=now)
    resumed, kept = done.resumed, done.resumed.kept
    if as_json:
        say_json(
            {
                "taken_at": done.taken_at.isoformat(), "changes": done.facts.counts["change"], "open": resumed.changes,
                "decisions": done.facts.counts["decision"], "documents": done.documents, "told": resumed.told,
                "repeats": resumed.repeats, "dead_links": resumed.links, "aside": done.aside,
                "tokens": resumed.valid_tokens,
                "revoked": None if kept is None else {
                    "tokens": list(kept.tokens), "links": kept.links, "people": list(kept.people),
                },
                "findings": [finding.message for finding in done.findings],
            }
        )  # fmt: skip
    else:
        say(
            f"已还原到 {at_text(done.taken_at, now)} 的备份：变更 {done.facts.counts['change']} 个，文书 {done.documents} 份。"
        )
        say(f"在办的 {resumed.changes} 个变更启动后继续；{resumed.told} 人次将收到通知，核对并重新办理此后的意见。")
        say(f"所有登录已失效；备份时待发的 {resumed.repeats} 件通知将重发，注明可能重复。")
        if kept is None and resumed.valid_tokens:
            say(
                f"没有可读的原有数据，备份之后停用的人员和接口凭证无从得知：{resumed.valid_tokens} 个凭证恢复到"
                f" {at_text(done.taken_at, now)} 备份时的状态，均可使用。"
                "请用 `shixiang token list` 核对，用 `shixiang token revoke 凭证编号` 停用不应再用的。"
            )
        elif kept is not None:
            say(
                f"备份之后停用的人员 {len(kept.people)} 名、接口凭证 {len(kept.tokens)} 个、链接 {kept.links} 个保持停用；"
                f"有效的凭证 {resumed.valid_tokens} 个，备份之后新发的须重新发放。"
            )
        if resumed.links:
            say(f"链接密钥与备份时不同：{resumed.links} 个旧链接失效，新通知带新链接。")
        if done.aside:
            say(f"原有数据另存于 {done.aside}。")
    for finding in done.findings[:_SHOWN]:
        warn(finding.message)
    raise typer.Exit(1 if done.findings else 0)


def doctor(as_json: Json = False) -> None:
    """检查系统：版本、端口、磁盘、邮件、时钟、人员、引擎、通知；说明怎么处理。不改动任何内容。

    Exit code 0 all well, 1 something to look at, 2 unusable.

    \b
    例 Example: shixiang doctor
    """
    from dataclasses import asdict

    from deployments.doctor import examine, exit_code
    from models import clock

    checks = examine(settings(), clock.now())
    code = exit_code(checks)
    if as_json:
        say_json({"ok": code == 0, "checks": [asdict(check) for check in checks]})
    else:
        marks = {"ok": "正常", "warn": "注意", "bad": "异常", "unusable": "不可用"}
        for check in checks:
            say(f"{marks[check.state]}  {check.title}：{check.message}{check.todo}")
    raise typer.Exit(code)
