"""After a story on a live system, no token, code's cookie, session, key or secret lies where somebody may read it."""

from __future__ import annotations

import email
import json
import re
import subprocess
import time
from email import policy
from pathlib import Path

import httpx2
import pytest

from models import clock
from models.actions import tokens
from notifications.mailbox_files import read_mails
from tests.factories import LAW_CHANGE
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
JSON = {"Accept": "application/json"}


def link_of(system: System, kind: str, to: str, change: str = "") -> str:
    """The newest link in a mail of a kind to somebody."""
    found = until(
        lambda: [
            mail
            for mail in read_mails(system.home / "mailbox")
            if mail.kind == kind and mail.to.startswith(to) and mail.change in (change, "")
        ],
        60,
        f"{kind} to {to}",
    )
    assert found[0].link is not None
    return found[0].link


def test_no_secret_lies_in_logs_databases_pages_of_prefect_or_headers_of_mails(system: System) -> None:
    secrets: dict[str, str] = {}
    change = system.change("law_change", {**LAW_CHANGE, "title": "密钥检查"})
    system.start("portal", "-m", "deployments.portal_server", SHIXIANG_PROOF="code")
    portal = system.settings.portal_address
    try:
        with httpx2.Client(trust_env=False, timeout=30) as client:
            until(lambda: answers(client, f"{portal}/robots.txt"), 60, "the portal")
            desk = link_of(system, "scope_to_confirm", "p-zhou", change)
            secrets["link"] = desk.rsplit("/", 1)[1]
            client.get(desk, headers={"Referer": desk})
            lies = client.get(desk, headers=JSON).json()
            body = {
                "request_id": "secrets-1",
                "decisions": [
                    {"assignment": a["id"], "revision": a["revision"], "verdict": "confirm"}
                    for a in lies["assignments"]
                ],
            }
            assert client.post(desk, json=body).status_code == 401
            assert client.post(f"{desk}/code").status_code == 202
            secrets["browser"] = next(c.value for c in client.cookies.jar if c.name == "shixiang_browser") or ""
            code = until(lambda: newest_code(system), 60, "the code")
            assert code is not None
            assert client.post(f"{desk}/proof", json={"code": code.group(1)}).status_code == 200
            assert client.post(desk, json=body).status_code == 200
            client.post("/".join([portal, "sign-in"]), data={"email": "p-zhou@shili.example"})
            sign_in = link_of(system, "sign_in", "p-zhou")
            secrets["sign-in"] = sign_in.rsplit("/", 1)[1]
            assert client.post(sign_in).status_code == 303
            secrets["session"] = next(c.value for c in client.cookies.jar if c.name == "shixiang_session") or ""
            _, key = tokens.issue(system.db, person="p-zhou", scopes=["read"], expires=None, now=clock.now())
            secrets["key"] = key
            bearer = {"Authorization": f"Bearer {key}"}
            assert client.get(f"{portal}/api/v1/changes/{change}", headers=bearer).status_code == 200
            assert client.get(f"{desk}x", headers=JSON).status_code == 404
            secrets["draft link"] = link_of(system, "draft_opened", "p-he", change).rsplit("/", 1)[1]
            until(lambda: system.run_state(change) == "PAUSED", 60, "the run sleeps")
    finally:
        system.end("portal")
    kept = json.loads((system.home / "secret.json").read_text(encoding="utf-8"))
    secrets |= {f"secret {name}": value for name, value in kept["keys"].items()}
    assert all(len(value) > 20 for value in secrets.values())
    time.sleep(1)  # the last lines of the logs
    read = 0
    for path in sorted(system.home.rglob("*")):
        if not path.is_file() or path.name == "secret.json":
            continue
        content = headers_of(path) if path.suffix == ".eml" else content_of(path)
        read += 1
        for name, value in secrets.items():
            assert value.encode() not in content, f"{name} in {path.relative_to(system.home)}"
    names = {path.name for path in system.home.rglob("*")}
    assert {"shixiang.db", "portal.log", "engine.log", "prefect.log"} <= names and read > 10
    assert any(path.parent.name == "prefect" and path.suffix == ".db" for path in system.home.rglob("*.db"))
    for asked in ("artifacts/filter", "flow_runs/filter", "task_runs/filter", "logs/filter", "events/filter"):
        said = json.dumps(system.read(asked, {}), ensure_ascii=False)
        for name, value in secrets.items():
            assert value not in said, f"{name} in Prefect's {asked}"


def content_of(path: Path) -> bytes:
    """Read by another process: whoever closes a database's file lets go of all locks he holds on it, and the next process
    that ends takes the journal away from under him.
    """
    return subprocess.run(["cat", str(path)], capture_output=True, check=True).stdout


def newest_code(system: System) -> re.Match[str] | None:
    """The code in the newest mail that holds one."""
    bodies = [mail.body for mail in read_mails(system.home / "mailbox") if mail.kind == "code"]
    return re.search(r"验证码 (\d{6})", bodies[0]) if bodies else None


def answers(client: httpx2.Client, address: str) -> bool:
    try:
        return client.get(address).status_code == 200
    except httpx2.HTTPError:
        return False


def headers_of(path: Path) -> bytes:
    """The headers of a kept mail, decoded: its body may hold the link, they may not."""
    mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    return "\n".join(f"{name}: {value}" for name, value in mail.items()).encode()
