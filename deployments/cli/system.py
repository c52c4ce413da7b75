"""Commands for the system itself: `up`, `token`."""

from __future__ import annotations

import typer

from deployments.cli.common import readable, say, say_json, settings, standing

_token = typer.Typer(help="接口凭证：发给其他系统，只显示一次。API tokens.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("up")(up)
    app.add_typer(_token, name="token")


def up(
    sample_items: int = typer.Option(3000, min=1, max=20000, help="首次启动时示例事项的数量"),
    sample_departments: int = typer.Option(30, min=8, max=200, help="首次启动时示例部门的数量"),
) -> None:
    """启动全部：门户、流程引擎、Prefect、邮箱。Start everything on this machine.

    \b
    例 Example: shixiang up --sample-items 300
    """
    from deployments.supervisor import run

    settings()  # a setting that cannot be used is told in a sentence before anything is looked at
    raise typer.Exit(run(sample_items=sample_items, sample_departments=sample_departments))


@_token.command("issue")
def issue(
    person: str = typer.Option(..., "--for", help="凭证代表的人员：编号、邮箱或者唯一的姓名"),
    scope: str = typer.Option("read", help="权限，可以多个：read,start,receipt"),
    days: int = typer.Option(0, min=0, max=36500, help="有效天数，0 为不限"),
    as_json: bool = typer.Option(False, "--json", help="只输出 JSON"),
) -> None:
    """发一个凭证。Issue a token.

    \b
    例 Example: shixiang token issue --for zhou.min@shili.example --scope start,read
    """
    from datetime import timedelta

    from models import clock
    from models.actions import tokens

    db, now = standing(), clock.now()
    expires = now + timedelta(days=days) if days else None
    scopes = [part.strip() for part in scope.split(",") if part.strip()]
    token_id, token = tokens.issue(db, person=person, scopes=scopes, expires=expires, now=now)
    if as_json:
        say_json({"id": token_id, "token": token, "scopes": sorted(scopes)})
        return
    say(f"凭证编号 {token_id}。下面一行是凭证，只显示这一次，请妥善保存：")
    say(token)


@_token.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="只输出 JSON")) -> None:
    """列出凭证和最近使用时间。List tokens and when they were last used.

    \b
    例 Example: shixiang token list --json
    """
    from models.actions import tokens

    db = readable()
    found = [] if db is None else tokens.listed(db)
    if as_json:
        say_json(found)
        return
    for one in found:
        ended = "已停用" if one["revoked_at"] else f"至 {one['expires_at'] or '不限'}"
        say(
            f"{one['id']}  {one['person']['name']}  {','.join(one['scopes'])}  {ended}  最近使用 {one['last_used_at'] or '—'}"
        )


@_token.command("revoke")
def revoke(
    token_id: str = typer.Argument(help="凭证编号"),
    as_json: bool = typer.Option(False, "--json", help="只输出 JSON"),
) -> None:
    """停用一个凭证。Revoke a token.

    \b
    例 Example: shixiang token revoke tok-0123456789abcdef01
    """
    from models import clock
    from models.actions import tokens

    tokens.revoke(standing(), token_id=token_id, now=clock.now())
    if as_json:
        say_json({"id": token_id, "revoked": True})
        return
    say(f"凭证 {token_id} 已停用。")
