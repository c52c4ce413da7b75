"""`make demo`: two real changes from their start to their publication, without a person.

Everything goes the way people go: mails come in by SMTP, links are opened and decided by HTTP; free ports, a temporary
home, the shipped collecting time. Exit code 0 only if all of it happened.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from aiosmtpd.controller import Controller

from deployments.ports import free_port
from models.actions.sample import COORDINATOR_ADDRESS, DEMO_FROM, DEMO_LAW, DEMO_TO

Result = TypeVar("Result")
START_SECONDS, STEP_SECONDS = 120.0, 30.0
_LINK = re.compile(r"^(http\S+)\s*$", re.MULTILINE)


class Failed(Exception):
    """Something that should have happened did not."""


@dataclass(frozen=True)
class Letter:
    """A mail as it arrived."""

    to: str
    change: str
    kind: str
    subject: str
    link: str


@dataclass
class Post:
    """The mail server of the demonstration: keeps what arrives."""

    letters: list[Letter] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(preferencelist=("plain",))
        found = _LINK.search("" if body is None else str(body.get_content()))
        letter = Letter(
            to=str(envelope.rcpt_tos[0]),
            change=str(message["X-Shixiang-Change"] or ""),
            kind=str(message["X-Shixiang-Kind"] or ""),
            subject=str(message["Subject"]),
            link="" if found is None else found.group(1),
        )
        with self.arrived:
            self.letters.append(letter)
            self.arrived.notify_all()
        return "250 OK"

    def wait(self, wanted: Callable[[Letter], bool], what: str, after: int = 0) -> Letter:
        """The first such mail, waited for."""
        end = time.monotonic() + STEP_SECONDS
        with self.arrived:
            while True:
                for letter in self.letters[after:]:
                    if wanted(letter):
                        return letter
                if not self.arrived.wait(max(0.0, end - time.monotonic())):
                    raise Failed(f"没有收到邮件：{what}")


class Show:
    """Says each step as it happens."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} 秒  {line}", flush=True)


class Demo:
    """The whole course."""

    def __init__(self, post: Post, portal: str, say: Show) -> None:
        self.post, self.say = post, say
        self.http = httpx2.Client(base_url=portal, timeout=20, follow_redirects=True, trust_env=False)
        self.requests = 0

    # --- the coordinator ---

    def sign_in(self) -> None:
        """By the mailed link: GET shows a button, POST spends it."""
        self._ok(self.http.post("/sign-in", data={"email": COORDINATOR_ADDRESS}))
        letter = self.post.wait(lambda one: one.kind == "sign_in", "登录链接")
        self._ok(self.http.get(letter.link))
        self._ok(self.http.post(letter.link))
        self.say(f"统筹协调人按邮件登录：{letter.to}")

    def start(self, path: str, fields: dict[str, str]) -> tuple[str, str]:
        """Preview, then start, on the portal's page. The id of the change and the reach's headline."""
        page = self._ok(self.http.get(path)).text
        form = {"csrf": _field(page, "csrf"), "idempotency_key": _field(page, "idempotency_key"), **fields}
        shown = self._ok(self.http.post(path, data={**form, "do": "preview"})).text
        found = re.search(r"波及 (\d+) 项，(\d+) 个部门", shown)
        if found is None:
            raise Failed(f"{path} 的预览没有给出涉及范围")
        answer = self._ok(self.http.post(path, data={**form, "do": "start"}))
        return str(answer.url).split("/changes/")[1].split("?")[0], found.group(0)

    # --- everybody else ---

    def letters(self, change: str) -> dict[str, str]:
        """The desk's link of each person who got a mail about a change."""
        with self.post.arrived:
            return {one.to: one.link for one in self.post.letters if one.change == change and "/d/" in one.link}

    def desk(self, link: str) -> dict[str, Any]:
        """What lies open behind a link."""
        found: dict[str, Any] = self._ok(self.http.get(link, headers={"Accept": "application/json"})).json()
        return found

    def decide(self, link: str, desk: dict[str, Any], choose: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        """Decide all that lies open; False where a colleague was faster."""
        self.requests += 1
        body: dict[str, Any] = {
            "request_id": f"demo-{os.getpid()}-{self.requests}",
            "decisions": [
                {"assignment": one["id"], "revision": one["revision"], **choose(one)} for one in desk["assignments"]
            ],
        }
        answer = self.http.post(link, json=body)
        if answer.status_code == 409:
            return False
        self._ok(answer)
        for one, said in zip(desk["assignments"], body["decisions"], strict=True):
            extra = [line["verdict"] for line in said.get("adjustments", {}).values() if "verdict" in line]
            about = f"，其中{_words(extra)}" if extra else ""
            where = one.get("department") or "本变更"
            self.say(
                f"　{desk['person']['name']} {one['stage_name']}：{_WORDS[said['verdict']]}"
                f"（{where}，{len(one['adjustments'])} 项{about}，第 {one['round']} 轮）"
            )
        return True

    def carry(self, change: str, choose: Callable[[dict[str, Any]], dict[str, Any]], over: Callable[[], bool]) -> None:
        """People open their links and decide until the change is over."""
        end = time.monotonic() + 90
        while not over():
            if time.monotonic() > end:
                raise Failed(f"变更 {change} 没有办完")
            acted = False
            for link in self.letters(change).values():
                desk = self.desk(link)
                if desk["assignments"]:
                    acted |= self.decide(link, desk, choose)
            if not acted:
                time.sleep(0.1)

    def state(self, change: str) -> str:
        """The state of a change, from its page."""
        page = self._ok(self.http.get(f"/changes/{change}")).text
        for words in ("已办结", "已撤回"):
            if f'<span class="tag ok">{words}</span>' in page or f'<span class="tag">{words}</span>' in page:
                return words
        return "办理中"

    def item(self, code: str) -> dict[str, Any]:
        """The current version of an item, from the interface."""
        found: dict[str, Any] = self._ok(self.http.get(f"/api/v1/items/{code}")).json()
        return found

    def _ok(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code >= 400:
            raise Failed(f"{answer.request.method} {answer.request.url.path} 回答 {answer.status_code}")
        return answer


_WORDS = {
    "confirm": "确认范围", "submit": "提交", "pass": "通过", "approve": "同意", "return": "退回", "decline": "不予调整",
}  # fmt: skip


def _words(verdicts: list[str]) -> str:
    return "、".join(f"{_WORDS[verdict]} {verdicts.count(verdict)} 项" for verdict in dict.fromkeys(verdicts))


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    if found is None:
        raise Failed(f"页面上没有 {name}")
    return found.group(1)


@dataclass
class Course:
    """What people say in the law change: one line declined, one returned, the rest carried on."""

    returned: str = ""
    declined: str = ""
    seen: set[str] = field(default_factory=set)

    def __call__(self, assignment: dict[str, Any]) -> dict[str, Any]:
        """The decision on one assignment."""
        stage, lines = assignment["stage"], assignment["adjustments"]
        if stage == "scope":
            return {"verdict": "confirm"}
        if stage == "draft":
            kept = [line for line in lines if line["outcomes"] == ["change_basis"]]
            if not self.declined and len(kept) > 1:
                self.declined = kept[-1]["id"]
                line = {"verdict": "decline", "remark": "条文只有文字调整，不影响本事项。"}
                return {"verdict": "submit", "adjustments": {self.declined: line}}
            if self.returned in {line["id"] for line in lines}:
                return {"verdict": "submit", "comment": "已按退回意见核对。"}
            return {"verdict": "submit"}
        if stage == "legality" and not self.returned and len(lines) > 1:
            open_ones = [line for line in lines if line["id"] != self.declined]
            self.returned = open_ones[0]["id"]
            line = {"verdict": "return", "remark": "引用条文须写到款，请核对。"}
            return {"verdict": "pass", "adjustments": {self.returned: line}}
        return {"verdict": "approve" if stage == "approval" else "pass"}


def plain(assignment: dict[str, Any]) -> dict[str, Any]:
    """Everybody agrees."""
    stage = assignment["stage"]
    return {"verdict": {"scope": "confirm", "draft": "submit", "approval": "approve"}.get(stage, "pass")}


def course(demo: Demo) -> None:
    """The story: a law change over several departments, and an agency request."""
    say = demo.say
    demo.sign_in()
    law = {"law": DEMO_LAW, "from_version": str(DEMO_FROM), "to_version": str(DEMO_TO), "title": f"《{DEMO_LAW}》修订"}
    change, reach = demo.start("/start/law_change", law)
    say(f"发起立改废释：《{DEMO_LAW}》{DEMO_FROM} → {DEMO_TO}，{reach}")
    choose = Course()
    demo.carry(change, choose, lambda: demo.state(change) != "办理中")
    if not choose.returned or not choose.declined:
        raise Failed("演示中应当各有一次退回和不予调整")
    demo.post.wait(lambda one: one.kind == "returned" and one.change == change, "退回补正")
    page = demo._ok(demo.http.get(f"/changes/{change}")).text
    codes = list(dict.fromkeys(re.findall(r'<th scope="row"><a href="/i/(\w+)">', page)))
    published = [code for code in codes if demo.item(code)["version"] > 1]
    say(f"变更已办结：{len(published)}／{len(codes)} 项发布了新版本，不予调整 1 项")
    if len(published) != len(codes) - 1:
        raise Failed(f"应当发布 {len(codes) - 1} 项，实际 {len(published)} 项")

    code = published[0]
    name = demo.item(code)["name"]
    path = "/start/agency_request"
    fields = {
        "title": f"更正“{name}”的名称", "reason": "与法规用语一致", "outcome-1": "rename", "code-1": code,
        "set-1-name": f"{name}（新）",
    }  # fmt: skip
    request, _ = demo.start(path, fields)
    say(f"发起部门申请：{fields['title']}")
    demo.carry(request, plain, lambda: demo.state(request) != "办理中")
    for one in [*published, *[c for c in codes if c not in published]]:
        item = demo.item(one)
        bases = "、".join(f"第{b['article']}条（{b['edition']}）" for b in item["bases"] if b["law"] == DEMO_LAW)
        cancelled = "，已取消" if item["state"] == "cancelled" else ""
        say(f"　{one} {item['name']}：第 {item['version']} 版，{item['publication']}{cancelled}，依据 {bases or '—'}")
    item = demo.item(code)
    if item["name"] != f"{name}（新）" or item["version"] != 3:
        raise Failed("部门申请的新名称没有发布")


def main() -> int:
    """Start a system of its own, play the course, and end it."""
    say = Show()
    post = Post()
    smtp = free_port()
    server = Controller(post, hostname="127.0.0.1", port=smtp)
    server.start()
    home = Path(tempfile.mkdtemp(prefix="shixiang-demo-"))
    ports = {name: str(free_port()) for name in ("PORTAL", "PREFECT", "MAILBOX")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SHIXIANG_", "PREFECT_"))}
    environment |= {f"SHIXIANG_{name}_PORT": port for name, port in ports.items()}
    environment |= {
        "SHIXIANG_HOME": str(home),
        "SHIXIANG_MAIL_URL": f"mailto://127.0.0.1:{smtp}?from=shixiang@localhost.local&mode=insecure",
    }
    log = (home / "up.log").open("wb")
    command = [sys.executable, "-c", "from deployments.cli import main; main()", "up", "--sample-items", "300"]
    system = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)
    portal = f"http://127.0.0.1:{ports['PORTAL']}"
    code = 1
    try:
        say("正在启动示例市（示例数据 300 项）……")
        _wait_ready(portal, system)
        say(f"已启动：{portal}")
        course(Demo(post, portal, say))
        say(f"全部完成：收到 {len(post.letters)} 封邮件。")
        code = 0
    except (Failed, httpx2.HTTPError) as error:
        say(f"没有完成：{error}")
        print((home / "up.log").read_text(encoding="utf-8", errors="replace")[-2000:], file=sys.stderr)
    finally:
        system.send_signal(signal.SIGTERM)
        try:
            system.wait(25)
        except subprocess.TimeoutExpired:
            system.kill()
            code = 1
        server.stop()
        log.close()
    if code == 0:
        shutil.rmtree(home, ignore_errors=True)
    else:
        print(f"记录保留在 {home}", file=sys.stderr)
    return code


def _wait_ready(portal: str, system: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if system.poll() is not None:
            raise Failed("系统没有启动")
        try:
            if httpx2.get(f"{portal}/healthz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    raise Failed(f"{START_SECONDS:.0f} 秒内没有准备好")


if __name__ == "__main__":
    sys.exit(main())
