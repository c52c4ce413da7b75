"""`shixiang up` as a user starts it: ports, home, parts that die, an orderly end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.system import until
from tests.town import COMMAND, alive, environment, parts, portal, ready, running

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


def test_the_system_comes_up_survives_the_death_of_its_parts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    settings, log = environment(tmp_path / "home"), tmp_path / "up.log"
    with running(settings, log) as process:
        first = parts(process)
        assert set(first) == {"portal", "engine", "prefect", "mailbox"}
        until(lambda: "停止：按 Ctrl-C" in log.read_text(encoding="utf-8"), 20, "the addresses")
        said = log.read_text(encoding="utf-8")
        assert f"已启动：门户 {portal(settings)}" in said
        assert "zhou.min@shili.example" in said
        sign_in(settings, tmp_path / "home")
        no_token_lies_about(tmp_path)
        for name in ("portal", "engine", "mailbox"):
            os.kill(first[name], signal.SIGKILL)
        until(lambda: set(parts(process)) == set(first) and ready(settings), 30, "the parts are back")
        until(lambda: "流程引擎意外退出，已重新启动（第 1 次）" in log.read_text(encoding="utf-8"), 10, "it is said")
        refused = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 2
        assert "已有一个系统在运行" in refused.stderr
        last = parts(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not [name for name, pid in last.items() if alive(pid)]
    assert "已全部停止" in log.read_text(encoding="utf-8")
    with running(settings, log):
        assert "正在建立" not in log.read_text(encoding="utf-8").split("已全部停止")[1]


def sign_in(settings: dict[str, str], home: Path) -> None:
    """By the mailed link, read on the mailbox page."""
    with httpx2.Client(base_url=portal(settings), follow_redirects=True, trust_env=False, timeout=20) as browser:
        browser.post("/sign-in", data={"email": "zhou.min@shili.example"})
        page = until(
            lambda: found.text if "打开邮件里的链接" in (found := browser.get("/mailbox")).text else "", 20, "mail"
        )
        link = re.search(r'class="btn" href="([^"]+/s/[^"]+)"', page)
        assert link is not None
        assert browser.get(link.group(1)).status_code == 200
        board = browser.post(link.group(1))
        assert board.url.path == "/board"
        assert "没有办理中的变更" in board.text


def no_token_lies_about(folder: Path) -> None:
    """The tokens in the mails stand in no log and in no database."""
    tokens = set()
    for mail in (folder / "home" / "mailbox").glob("*.eml"):
        tokens |= set(
            re.findall(rb"/[ds]/([\w.=-]{30,})", mail.read_bytes().replace(b"=\r\n", b"").replace(b"=\n", b""))
        )
    assert tokens
    for path in folder.rglob("*"):
        if path.is_file() and "mailbox" not in path.parts:
            content = path.read_bytes()
            assert not [token for token in tokens if token in content], path


def test_a_part_ends_by_itself_where_the_supervisor_is_killed(tmp_path: Path) -> None:
    settings, log = environment(tmp_path / "home"), tmp_path / "up.log"
    with running(settings, log) as process:
        mine = parts(process)
        process.kill()
        process.wait(10)
        until(lambda: not [name for name, pid in mine.items() if alive(pid)], 30, "nothing is left")


def test_a_taken_port_is_named_with_the_setting_that_moves_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = environment(tmp_path / "home", SHIXIANG_PREFECT_PORT=port)
        refused = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert f"端口 {port} 已被占用（Prefect）" in refused.stderr
    assert "SHIXIANG_PREFECT_PORT" in refused.stderr
    assert not (tmp_path / "home" / "shixiang.db").exists()


def test_a_home_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    settings = environment(tmp_path / "file" / "home")
    refused = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "不能写入" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_clock_is_moved_in_the_sample_office_only(tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("id,name,email,department,roles\np-1,周敏,zhou@shili.example,,coordinator\n", encoding="utf-8")
    settings = environment(tmp_path / "home", SHIXIANG_CLOCK=str(tmp_path / "clock"))
    load = [sys.executable, "-m", "deployments.cli", "load", str(people)]
    subprocess.run(load, env=settings, capture_output=True, timeout=60, check=False)
    refused = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "SHIXIANG_CLOCK" in refused.stderr


def test_the_demonstration_goes_from_two_starts_to_two_publications(tmp_path: Path) -> None:
    settings = {**environment(tmp_path / "unused"), "TMPDIR": str(tmp_path)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "deployments.demo"], env=settings, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "全部完成" in done.stdout
    assert time.monotonic() - began < 180
