"""kill -9 at the worst moments, mail servers of every bad kind, Prefect's data lost, full disks, a clock that jumps.

After each: no decision lost, none applied twice, no notice lost, at most one copy too many and that one marked; and it goes
on by itself. Moments are hit by what can be seen from outside: a stopped server, a lock held by the test, a mail half sent.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from models.actions.engine import wake_for
from models.tables import metadata
from notifications.deliverer import AWAY_PAUSE
from notifications.mailbox_files import Mail
from tests.faults.post import Post
from tests.flows.test_flows import guide
from tests.system import PATIENCE, System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(1200)]
#: The promise is 30 s on a machine of its own; a test machine is shared. The soak measures it.
RECOVERY = PATIENCE
#: What a bound measured here is exceeded by at most where other processes are busy beside (seconds).
SHARED_MACHINE = 10.0
CODES = ("990700188000", "990100342001", "990100342002", "990100356000")
PEOPLE = {"990700188000": "p-wen", "990100342001": "p-he", "990100342002": "p-he", "990100356000": "p-wen"}
APPROVERS = {"p-wen": "p-jiang", "p-he": "p-shen"}


class Case:
    """A request before its drafter, and what must be true of it in the end."""

    def __init__(self, system: System, title: str, code: str = CODES[0], **params: Any) -> None:
        self.system, self.drafter = system, PEOPLE.get(code, "p-wen")
        self.id = system.change("agency_request", {**guide(code, 5 + hash(title) % 5, title), **params})

    def sleeps(self) -> None:
        until(lambda: self.system.run_state(self.id) == "PAUSED", RECOVERY, "the run sleeps")

    def submit(self, *, wake: bool = True) -> None:
        self.system.says(self.id, self.drafter, "submit", wake=wake)

    def reviewer_is_asked(self) -> float:
        """Waits until the next person is asked and has his mail; the seconds it took."""
        began = time.monotonic()
        until(lambda: self.system.open_for(self.id, "p-zhou"), RECOVERY, "the next step is open")
        until(lambda: self.system.mails(self.id, "review_opened"), RECOVERY, "the next person has his mail")
        spent = time.monotonic() - began
        print(f"{os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[-1]}: went on after {spent:.1f} s")
        return spent

    def ends(self) -> None:
        """The rest of the way, and the sums: one version, one mail a notice, every step opened once."""
        self.system.says(self.id, "p-zhou", "pass")
        self.system.says(self.id, APPROVERS[self.drafter], "approve")
        until(lambda: self.system.show(self.id)["state"] == "closed", RECOVERY, "the change is closed")
        self.is_whole()

    def is_whole(self) -> None:
        shown = self.system.show(self.id)
        assert [a["state"] for a in shown["adjustments"]] == ["published"]
        seen = [(d["person"]["id"], d["verdict"]) for d in shown["decisions"]]
        assert len(seen) == len(set(seen)) == 3, seen
        steps = [(s["stage"], s["round"]) for sheet in shown["sheets"] for s in sheet["steps"]]
        assert len(steps) == len(set(steps)), steps
        with self.system.db.reader() as connection:
            lines = connection.exec_driver_sql(
                "select count(*) from publication_line p join adjustment a on a.id = p.adjustment_id"
                f" where a.change_id = '{self.id}'"
            ).scalar()
        assert lines == 1
        until(lambda: not self.notices("queued", "held", "sending", "retrying"), RECOVERY, "every notice has left")
        assert not self.notices("undeliverable")
        for notice in self.notices("sent"):
            copies = self.copies(notice)
            assert 1 <= len(copies) <= 2, notice
            assert [mail for mail in copies if "X-Shixiang-Repeat" not in mail.headers][1:] == [], (
                "a copy is not marked"
            )

    def notices(self, *states: str) -> list[str]:
        marks = ", ".join(f"'{state}'" for state in states)
        with self.system.db.reader() as connection:
            found = connection.exec_driver_sql(
                f"select id from notice where change_id = '{self.id}' and state in ({marks})"
            )
            return [str(row[0]) for row in found]

    def tries(self) -> int:
        """How often the notice that is in most trouble was tried."""
        with self.system.db.reader() as connection:
            found = connection.exec_driver_sql(f"select max(tries) from notice where change_id = '{self.id}'").scalar()
        return int(found or 0)

    def copies(self, notice: str) -> list[Mail]:
        return [mail for mail in self.system.mails(self.id) if mail.notice == notice]


def kill(system: System, *names: str) -> None:
    for name in names:
        system.end(name, signal.SIGKILL)


def restart(system: System, *names: str) -> None:
    for name in names:
        system.start(name)


def stop(system: System, name: str) -> Callable[[], None]:
    """Freeze a part; call what comes back to let it go on."""
    process = system.processes[name]
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


@contextmanager
def locked(system: System) -> Iterator[None]:
    """Our database under a writer's lock of the test: nobody else writes."""
    if not system.db.sqlite:
        with system.db.writer() as connection:
            names = ", ".join(f'"{each.name}"' for each in metadata.sorted_tables)
            connection.exec_driver_sql(f"lock table {names} in exclusive mode")
            yield
        return
    line = sqlite3.connect(system.home / "shixiang.db", isolation_level=None, timeout=30)
    line.execute("begin immediate")
    try:
        yield
    finally:
        line.rollback()
        line.close()


def parked(system: System, change: str) -> bool:
    return wake_for(system.db, change_id=change).parked


# --- the engine dies -----------------------------------------------------------------------------------------------


def test_killed_between_the_commit_of_a_decision_and_its_wake(system: System) -> None:
    case = Case(system, "提交与唤醒之间")
    case.sleeps()
    kill(system, "engine")
    case.submit(wake=False)
    restart(system, "engine")
    case.reviewer_is_asked()
    case.ends()


def test_the_portal_is_killed_between_the_commit_and_the_wake_it_was_about_to_send(system: System) -> None:
    case = Case(system, "门户在唤醒之前")
    case.sleeps()
    link = until(lambda: system.mails(case.id, "draft_opened"), RECOVERY)[0].link
    assert link is not None
    restart(system, "portal")

    def lies() -> Any:
        try:
            return httpx2.get(link, headers={"Accept": "application/json"}, timeout=10, trust_env=False).json()
        except httpx2.HTTPError:
            return None

    desk = until(lies, RECOVERY, "the portal")
    body = {
        "request_id": "portal-killed",
        "decisions": [
            {"assignment": a["id"], "revision": a["revision"], "verdict": "submit"} for a in desk["assignments"]
        ],
    }
    goes_on = stop(system, "prefect")  # the wake hangs in the portal
    kill(system, "engine")  # the nudge goes nowhere
    sender = threading.Thread(target=lambda: _post(link, body))
    sender.start()
    until(lambda: system.show(case.id)["decisions"], RECOVERY, "the decision is committed")
    kill(system, "portal")
    goes_on()
    sender.join(60)
    restart(system, "engine")
    case.reviewer_is_asked()
    case.ends()


def _post(link: str, body: dict[str, Any]) -> None:
    with suppress(httpx2.HTTPError):
        httpx2.post(link, json=body, timeout=20, trust_env=False)


def test_killed_before_the_suspend_when_the_change_is_parked_already(system: System) -> None:
    case = Case(system, "挂起之前")
    until(lambda: system.open_for(case.id, case.drafter), RECOVERY)
    kill(system, "prefect")  # the suspend finds nobody
    until(lambda: parked(system, case.id), RECOVERY, "the change is parked")
    kill(system, "engine")
    restart(system, "prefect", "engine")
    case.submit()
    case.reviewer_is_asked()
    case.ends()


def test_killed_in_the_suspend_which_prefect_carries_out_afterwards(system: System) -> None:
    case = Case(system, "挂起之中")
    until(lambda: system.open_for(case.id, case.drafter), RECOVERY)
    goes_on = stop(system, "prefect")
    until(lambda: parked(system, case.id), RECOVERY, "the change is parked")
    time.sleep(0.3)  # the request lies in the stopped server's socket
    kill(system, "engine")
    goes_on()
    restart(system, "engine")
    case.submit()
    case.reviewer_is_asked()
    case.ends()


def test_killed_just_after_the_suspend(system: System) -> None:
    case = Case(system, "挂起之后")
    case.sleeps()
    kill(system, "engine")
    case.submit()
    restart(system, "engine")
    case.reviewer_is_asked()
    case.ends()


def test_killed_in_the_middle_of_a_publication(system: System) -> None:
    case = Case(system, "发布之中")
    case.submit()
    system.says(case.id, "p-zhou", "pass")
    until(lambda: system.open_for(case.id, "p-jiang"), RECOVERY, "the approver is asked")
    with slow_publications(system) as is_being_written:
        system.says(case.id, "p-jiang", "approve")
        until(is_being_written, RECOVERY, "the publication is being written")
        kill(system, "engine")
    assert system.show(case.id)["adjustments"][0]["state"] != "published"
    restart(system, "engine")
    until(lambda: system.show(case.id)["state"] == "closed", RECOVERY, "the change is closed")
    case.is_whole()


@contextmanager
def slow_publications(system: System) -> Iterator[Callable[[], bool]]:
    """Who writes a line of a publication stands still in the middle of his transaction; whether somebody does."""
    if not system.db.sqlite:
        yield from _stopped_by_postgresql(system)
        return
    with sqlite3.connect(system.home / "shixiang.db") as line:
        line.execute(
            "create trigger slow after insert on publication_line begin select count(*) from"
            " (with recursive n(i) as (select 1 union all select i + 1 from n where i < 500000000) select i from n); end"
        )
    try:
        yield lambda: _busy_writing(system)
    finally:
        with sqlite3.connect(system.home / "shixiang.db", timeout=30) as line:
            line.execute("drop trigger slow")


def _stopped_by_postgresql(system: System) -> Iterator[Callable[[], bool]]:
    """A trigger that waits for a lock of the test; let go, it finds that nobody is there any more to commit."""
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted and objid = 4711"
    with system.db.writer() as connection:
        connection.exec_driver_sql(
            "create function slow() returns trigger language plpgsql as"
            " 'begin perform pg_advisory_xact_lock(4711); return new; end'"
        )
        connection.exec_driver_sql(
            "create trigger slow after insert on publication_line for each row execute function slow()"
        )

    def waits() -> bool:
        with system.db.reader() as reading:
            return bool(reading.exec_driver_sql(waiting).scalar())

    try:
        with system.db.writer() as holding:
            holding.exec_driver_sql("select pg_advisory_xact_lock(4711)")
            yield waits
    finally:
        with system.db.writer() as connection:  # waits until the dead writer's transaction is over
            connection.exec_driver_sql("drop function slow() cascade")


def _busy_writing(system: System) -> bool:
    """Whether somebody has held the writer's lock for a second: no other transaction takes so long."""
    line = sqlite3.connect(system.home / "shixiang.db", isolation_level=None, timeout=1.0)
    try:
        line.execute("begin immediate")
        line.rollback()
        return False
    except sqlite3.OperationalError:
        return True
    finally:
        line.close()


# --- mails ---------------------------------------------------------------------------------------------------------


def test_killed_while_a_notice_is_sent_before_its_text_leaves(system: System, post: Post) -> None:
    case = Case(system, "正文发出之前")
    case.sleeps()
    reached, free = threading.Event(), threading.Event()

    def hold(address: str) -> None:
        reached.set()
        free.wait(60)

    post.to_recipient = hold
    case.submit()
    assert reached.wait(RECOVERY)
    kill(system, "engine")
    post.behave()
    free.set()
    restart(system, "engine")
    case.reviewer_is_asked()
    assert len(system.mails(case.id, "review_opened")) == 1
    case.ends()


def test_killed_between_the_servers_yes_and_our_note_of_it_exactly_one_copy_more_comes_and_is_marked(
    system: System, post: Post
) -> None:
    case = Case(system, "收妥与记录之间")
    case.sleeps()
    kept, free = threading.Event(), threading.Event()

    def hold() -> None:
        kept.set()
        free.wait(60)

    post.kept = hold
    case.submit()
    assert kept.wait(RECOVERY)
    with locked(system):  # the answer leaves, what it means cannot be noted
        free.set()
        time.sleep(0.5)
        kill(system, "engine")
    post.behave()
    restart(system, "engine")
    until(lambda: len(system.mails(case.id, "review_opened")) == 2, RECOVERY, "the repeat")
    first, second = system.mails(case.id, "review_opened")
    assert first.notice == second.notice
    assert ("X-Shixiang-Repeat" in first.headers, second.headers.get("X-Shixiang-Repeat")) == (False, "1")
    case.ends()
    assert len(system.mails(case.id, "review_opened")) == 2


def test_a_mail_server_that_was_away_gets_everything_soon_after_it_is_back(system: System, post: Post) -> None:
    case = Case(system, "邮件服务器不在")
    case.sleeps()
    post.close()
    case.submit()
    until(lambda: case.tries() >= 2, RECOVERY, "a notice was tried twice: now its pause is the longest")
    post.open()
    assert case.reviewer_is_asked() < AWAY_PAUSE.total_seconds() + SHARED_MACHINE
    case.ends()


@pytest.mark.parametrize("answer", ["450 greylisted", "421 too busy"])
def test_a_mail_refused_for_now_is_sent_again(system: System, post: Post, answer: str) -> None:
    case = Case(system, f"暂不接收 {answer[:3]}")
    case.sleeps()
    refused: list[str] = []

    def once(address: str) -> str | None:
        if refused:
            return None
        refused.append(address)
        return answer

    post.to_recipient = once
    case.submit()
    case.reviewer_is_asked()
    assert refused
    case.ends()


@pytest.mark.parametrize("where", ["to_recipient", "to_mail"])
def test_a_mail_refused_for_good_stands_on_the_board_and_the_case_goes_on(
    system: System, post: Post, where: str
) -> None:
    case = Case(system, f"永不接收 {where}")
    case.sleeps()
    setattr(post, where, lambda address: "550 no such user" if "p-zhou" in address else None)
    case.submit()
    until(lambda: case.notices("undeliverable"), RECOVERY, "the notice is given up")
    post.behave()
    system.says(case.id, "p-zhou", "pass")
    system.says(case.id, "p-jiang", "approve")
    until(lambda: system.show(case.id)["state"] == "closed", RECOVERY, "the change is closed")


def test_while_the_sender_is_refused_nothing_is_given_up_and_all_leaves_when_that_is_mended(
    system: System, post: Post
) -> None:
    case = Case(system, "发件人被拒")
    case.sleeps()
    post.to_sender = lambda address: "550 5.7.1 not a sender of ours"
    case.submit()
    until(lambda: case.notices("retrying"), RECOVERY, "a notice waits")
    with system.db.reader() as connection:
        said = connection.exec_driver_sql(
            f"select error from notice where id = '{case.notices('retrying')[0]}'"
        ).scalar()
    assert said == "邮件服务器不接受本系统发信：550 5.7.1 not a sender of ours"
    post.behave()
    case.reviewer_is_asked()
    case.ends()


def test_a_mail_server_that_takes_a_mail_and_falls_silent_gets_a_marked_repeat(system: System, post: Post) -> None:
    case = Case(system, "收下后不答")
    case.sleeps()
    post.silent = 12
    case.submit()
    until(lambda: system.mails(case.id, "review_opened"), RECOVERY, "the first copy")
    post.behave()
    until(lambda: len(system.mails(case.id, "review_opened")) == 2, RECOVERY, "the second copy")
    assert system.mails(case.id, "review_opened")[1].headers["X-Shixiang-Repeat"] == "1"
    case.ends()


def test_a_slow_mail_server_gets_each_mail_once(system: System, post: Post) -> None:
    case = Case(system, "很慢的邮件服务器")
    case.sleeps()
    post.slow = 4
    case.submit()
    case.reviewer_is_asked()
    post.behave()
    assert [m for m in system.mails(case.id, "review_opened") if "X-Shixiang-Repeat" in m.headers] == []
    case.ends()


# --- Prefect -------------------------------------------------------------------------------------------------------


def test_prefect_dies_while_a_leg_is_at_work(system: System) -> None:
    case = Case(system, "运行中的 Prefect")
    until(lambda: system.open_for(case.id, case.drafter), RECOVERY)
    kill(system, "prefect")
    case.submit()
    restart(system, "prefect")
    case.reviewer_is_asked()
    case.ends()


def test_an_older_prefect_database_comes_back_and_every_change_goes_on(system: System) -> None:
    folder = system.home / "prefect"
    before = Case(system, "备份之前", CODES[0])
    before.sleeps()
    kill(system, "prefect")
    _keep(folder, system.home / "older")
    restart(system, "prefect")
    until(system.prefect.healthy, RECOVERY)
    after = Case(system, "备份之后", CODES[1])
    after.sleeps()
    before.submit()
    before.reviewer_is_asked()
    before.sleeps()
    kill(system, "prefect")
    _keep(system.home / "older", folder)
    restart(system, "prefect")
    until(system.prefect.healthy, RECOVERY)
    after.submit()  # its run was never heard of
    after.reviewer_is_asked()
    assert system.show(after.id)["attempt"] == 2
    after.ends()
    before.ends()


def test_prefects_database_is_newer_than_ours_and_every_change_goes_on(system: System) -> None:
    """Ours is restored from this morning: what Prefect knows of the afternoon is of no consequence."""
    case = Case(system, "本库较旧")
    case.sleeps()
    kill(system, "engine")
    system.db.engine.dispose()
    _keep(system.home, system.home / "ours", "shixiang.db*")
    restart(system, "engine")
    case.submit()
    case.reviewer_is_asked()
    case.sleeps()
    kill(system, "engine")
    system.db.engine.dispose()
    _keep(system.home / "ours", system.home, "shixiang.db*")
    restart(system, "engine")
    assert system.show(case.id)["decisions"] == []
    case.submit()
    until(lambda: system.open_for(case.id, "p-zhou"), RECOVERY, "the next step is open")
    system.says(case.id, "p-zhou", "pass")
    system.says(case.id, "p-jiang", "approve")
    until(lambda: system.show(case.id)["state"] == "closed", RECOVERY, "the change is closed")


def test_prefects_database_is_deleted_and_every_change_gets_a_new_run(system: System) -> None:
    cases = [Case(system, f"流程库丢失 {n}", code) for n, code in enumerate(CODES[:2])]
    for case in cases:
        case.sleeps()
    kill(system, "prefect")
    for path in (system.home / "prefect").glob("prefect.db*"):
        path.unlink()
    restart(system, "prefect")
    for case in cases:
        case.submit()
    for case in cases:
        case.reviewer_is_asked()
        assert system.show(case.id)["attempt"] > 1
        case.ends()


def _keep(source: Path, target: Path, pattern: str = "prefect.db*") -> None:
    target.mkdir(exist_ok=True)
    for path in target.glob(pattern):
        path.unlink()
    for path in source.glob(pattern):
        shutil.copy2(path, target / path.name)


# --- the machine ---------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(system: System, name: str) -> Iterator[None]:
    """No file of this process may grow beyond a page; there is room again afterwards."""
    pid = system.processes[name].pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def refused_a_write(system: System, case: Case) -> bool:
    """Whether Prefect's server answers what it must store with a fault of its own."""
    run = system.show(case.id)["flow_run_id"]
    try:
        system.read(f"flow_runs/{run}", {"tags": ["磁盘已满"]}, method="PATCH")
    except httpx2.HTTPStatusError as error:
        return error.response.status_code >= 500
    return False


@pytest.mark.parametrize("name", ["engine", "prefect"])
def test_a_full_disk_stops_a_part_and_it_goes_on_when_there_is_room(system: System, name: str) -> None:
    case = Case(system, f"磁盘已满 {name}")
    case.sleeps()
    with full_disk(system, name):
        case.submit()
        if name == "engine":  # its heartbeat is not written any more
            until(lambda: "engine" in system.runs.missing(), RECOVERY, "the engine is refused a write")
        else:
            until(lambda: refused_a_write(system, case), RECOVERY, "Prefect's server is refused a write")
            assert system.run_state(case.id) == "PAUSED", "Prefect's server wrote on a full disk"
        assert system.processes[name].poll() is None
        assert not system.open_for(case.id, "p-zhou"), "somebody wrote on a full disk"
    case.reviewer_is_asked()
    case.ends()


def test_a_decision_on_a_full_disk_is_refused_with_a_sentence_and_given_again_later(system: System) -> None:
    case = Case(system, "门户磁盘已满")
    case.sleeps()
    link = until(lambda: system.mails(case.id, "draft_opened"), RECOVERY)[0].link
    assert link is not None
    if "portal" not in system.processes:
        restart(system, "portal")

    def ask(method: str, **more: Any) -> httpx2.Response | None:
        try:
            return httpx2.request(
                method, link, headers={"Accept": "application/json"}, timeout=40, trust_env=False, **more
            )
        except httpx2.HTTPError:
            return None

    shown = until(lambda: ask("GET"), RECOVERY, "the portal")
    assert shown is not None
    desk = shown.json()
    body = {
        "request_id": "disk-full",
        "decisions": [
            {"assignment": a["id"], "revision": a["revision"], "verdict": "submit"} for a in desk["assignments"]
        ],
    }
    with full_disk(system, "portal"):
        refused = ask("POST", json=body)
        assert refused is not None
        assert (refused.status_code, refused.json()["error"]) == (503, "disk_full")
        assert "磁盘空间不足" in refused.json()["message"]
        assert system.show(case.id)["decisions"] == []
    recorded = ask("POST", json=body)
    assert recorded is not None and recorded.status_code == 200
    case.reviewer_is_asked()
    case.ends()


def test_a_clock_that_jumps_days_ahead_and_back_stops_nothing(system: System) -> None:
    clock = system.home / "clock"
    ahead, later = Case(system, "时钟提前", CODES[0]), Case(system, "时钟拨回", CODES[1])
    ahead.sleeps()
    later.sleeps()
    try:
        clock.write_text(str(3 * 86400), encoding="utf-8")
        time.sleep(3)
        ahead.submit(wake=False)
        ahead.reviewer_is_asked()
        kill(system, "engine")
        clock.write_text("0", encoding="utf-8")
        restart(system, "engine")
        later.submit(wake=False)
        later.reviewer_is_asked()
    finally:
        clock.write_text("0", encoding="utf-8")
    ahead.ends()
    later.ends()
