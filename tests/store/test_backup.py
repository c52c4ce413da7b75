"""A backup holds one moment; a restore is made ready and proved beside what stands, and every change goes on."""

from __future__ import annotations

import fcntl
import io
import json
import os
import secrets
import shutil
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, make_url, select, update

from deployments.backup import Made, Restored, backup, held, restore
from deployments.ports import check_home
from models.actions.audit import seal_day, verify
from models.actions.desk import desk
from models.actions.legs import begin_leg, run_pass
from models.actions.signing import desk_of, session_person
from models.actions.tokens import holder, issue, revoke
from models.domain.errors import BadInput, Conflict, Refusal, Unusable
from models.settings import Settings
from models.store import copying
from models.store.change import ASSIGNMENT, CHANGE, DECISION, ENGINE, Row, rows
from models.store.database import Database
from models.store.migrate import migrate
from models.store.outbox import LINK, NOTICE, SqlOutbox, live_link
from models.store.sealing import OFFICE_LOG
from models.store.sql import table
from models.tables import Person, Session
from notifications.deliverer import Claimed
from notifications.links import check_token, load_secrets, make_token, read_token
from tests.conftest import drop_databases
from tests.factories import LAW, NEW, OLD, PEOPLE, small_office
from tests.stories.driver import START, Story
from tests.system import until

LAW_CHANGE = {"title": "餐饮条例修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat()}
VERDICTS = {"scope": "confirm", "draft": "submit", "approval": "approve"}
Place = Callable[[str], Settings]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Homes by name, each with a database of its own of either kind; nothing is in them."""
    server = None if request.param == "sqlite" else make_url(request.getfixturevalue("postgres_address"))
    mine = f"shixiang_{secrets.token_hex(4)}"

    def home(name: str) -> Settings:
        url = ""
        if server is not None:
            url = server.set(database=f"{mine}_{name}").render_as_string(hide_password=False)
        return Settings(home=tmp_path / name, database_url=url)

    yield home
    if server is not None:
        drop_databases(server.set(database="postgres"), mine)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return lambda name: Settings(home=tmp_path / name, database_url="")


def office(settings: Settings) -> Story:
    """An office with one change before its drafters, one of whom has submitted."""
    url = make_url(settings.business_url)
    if url.drivername.startswith("postgresql"):
        engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'create database "{url.database}"')
        engine.dispose()
    db = Database(settings.business_url)
    migrate(db)
    small_office(db, START - timedelta(days=30), schema=False)
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    seal_day(db, now=story.now)
    (settings.home_path / "documents").mkdir(parents=True)
    (settings.home_path / "documents" / "批文.pdf").write_bytes(b"signed")
    return story


def made(settings: Settings, story: Story, **more: Any) -> Made:
    return backup(settings, story.db, now=story.now, **{"to": None, "with_secret": False, **more})


def back(settings: Settings, archive: Path, story: Story, replace: bool = False) -> Restored:
    return restore(settings, archive, replace=replace, now=story.now)


def found(db: Database, query: Any) -> list[Row]:
    with db.reader() as connection:
        return rows(connection, query)


def finish(db: Database, story: Story) -> None:
    """Walk the restored change to its end, as its new run does."""
    story.db, attempt = db, found(db, select(CHANGE))[0]["attempt"]
    for _ in range(60):
        leg = begin_leg(db, change_id=story.change_id, attempt=attempt, flow_run_id="r", engine_id="e", now=story.now)
        for _ in range(3):
            done = run_pass(
                db, change_id=story.change_id, leg_no=leg, attempt=attempt, now=story.now, collect_minutes=20
            )
        if done.ended:
            return
        person, stage = next((person, a["stage"]) for person, *_ in PEOPLE for a in story.open_for(person))
        story.says(person, VERDICTS.get(stage, "pass"), only=stage, wake=False)
    raise AssertionError("the change does not end")


def test_a_clerk_restores_last_weeks_backup_and_every_change_goes_on(place: Place) -> None:
    settings = place("old")
    story = office(settings)
    db = story.db
    with db.writer() as connection:
        link = live_link(connection, person_id="p-wen", change_id=story.change_id, key_id="k1", now=story.now)
        connection.execute(update(NOTICE).where(NOTICE.c.person_id == "p-he").values(state="sent", sent_at=story.now))
        session = {"hash": "h", "person_id": "p-zhou", "created_at": story.now, "expires_at": story.now + timedelta(9)}
        connection.execute(insert(table(Session)).values(**session))
    token = make_token(link, load_secrets(settings.home_path)[1])
    waiting = {row["id"] for row in found(db, select(NOTICE).where(NOTICE.c.state.in_(["queued", "held"])))}
    before = found(db, select(DECISION).order_by(DECISION.c.id))
    archive = made(settings, story)
    assert archive.facts.open == 1 and archive.documents == 1
    assert stat.S_IMODE(archive.path.stat().st_mode) == 0o600
    story.later(days=7)
    story.says("p-wen", "submit")  # what is decided after the backup is lost
    with pytest.raises(Conflict) as refused:
        back(settings, archive.path, story)
    assert refused.value.code == "home_not_empty"
    db.close()

    done = back(settings, archive.path, story, replace=True)
    assert done.findings == []
    assert done.aside is not None
    assert (settings.home_path / "documents" / "批文.pdf").read_bytes() == b"signed"
    assert not list(settings.home_path.glob(".restoring-*"))
    again = Database(settings.business_url)
    assert found(again, select(DECISION).order_by(DECISION.c.id)) == before
    assert verify(again).findings == []
    change = found(again, select(CHANGE))[0]
    assert (change["attempt"], change["flow_run_id"], change["parked_leg"]) == (2, None, None)
    repeated = {row["id"]: row["repeat"] for row in found(again, select(NOTICE)) if row["repeat"]}
    assert repeated == dict.fromkeys(waiting, 1)
    told = found(again, select(NOTICE).where(NOTICE.c.kind == "restored"))
    open_ = found(again, select(ASSIGNMENT).where(ASSIGNMENT.c.state == "open"))
    assert {row["person_id"] for row in told} == {row["person_id"] for row in open_} >= {"p-wen"}
    assert session_person(again, token="", now=story.now) is None
    assert all(row["ended_at"] is not None for row in found(again, select(table(Session))))
    parts = read_token(token)
    secrets = load_secrets(settings.home_path)[1]
    assert desk_of(again, link_id=parts.link_id, check=lambda row: check_token(parts, row, secrets), now=story.now)
    finish(again, story)
    assert verify(again).findings == []
    again.close()


def test_a_backup_made_while_several_decide_holds_one_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, fresh = place("old"), place("new")
    first = office(settings)
    db, ended = first.db, threading.Event()
    stories = [Story(db, now=first.now) for _ in range(3)]
    people = (("p-wen", "990700188000"), ("p-wen", "990100356000"), ("p-he", "990100342001"))
    for story, (_, code) in zip(stories, people, strict=True):
        item = {"target": {"kind": "item", "code": code}, "outcomes": ["change_guide"], "set": {"promised_days": 5}}
        story.start("agency_request", {"title": f"规范 {code}", "reason": "统一口径", "items": [item]})

    def rounds(story: Story, drafter: str) -> None:
        while not ended.is_set():
            story.says(drafter, "submit")
            story.says("p-zhou", "return", comment="请写明依据")

    def decided(where: Database = db) -> set[str]:
        return {row["id"] for row in found(where, select(DECISION.c.id))}

    seen: list[set[str]] = []
    # What takes the snapshot's rows (PostgreSQL), or looks at the pages that were copied (SQLite).
    name = "_sqlite_facts" if db.sqlite else "_tool"
    real = getattr(copying, name)

    def while_others_decide(*arguments: Any) -> Any:
        """Somebody decides after the moment of the backup was taken, and others while it is written."""
        begun = decided()
        until(lambda: decided() - begun, 60, "a decision after the snapshot")
        seen.extend((begun, decided()))
        done = real(*arguments)
        seen.append(decided())
        return done

    monkeypatch.setattr(copying, name, while_others_decide)
    with ThreadPoolExecutor(len(stories)) as pool:
        working = [pool.submit(rounds, story, who) for story, (who, _) in zip(stories, people, strict=True)]
        try:
            until(lambda: len(decided()) > 8, 60, "everybody decides")
            before = decided()
            archive = made(settings, first)
        finally:
            ended.set()
        for one in working:
            one.result(60)
    monkeypatch.undo()
    late = decided() - seen[0]
    db.close()
    assert back(fresh, archive.path, first).findings == []
    again = Database(fresh.business_url)
    kept = decided(again)
    assert late and before <= kept and not kept & late
    assert len(kept) == archive.facts.counts["decision"]
    for story in stories:
        finish(again, story)
    assert verify(again).findings == []
    again.close()
    print(f"{len(seen[1] - seen[0])} decisions before, {len(seen[2] - seen[1])} while {name} ran; {len(kept)} are kept")


def tokens_of(db: Database, story: Story) -> dict[str, tuple[str, str]]:
    """A token each for three people, by person: id and token."""
    people = ("p-zhou", "p-lu", "p-gov")
    return {who: issue(db, person=who, scopes=["read"], expires=None, now=story.now) for who in people}


def valid(db: Database, story: Story, tokens: dict[str, tuple[str, str]]) -> set[str]:
    return {who for who, (_, token) in tokens.items() if holder(db, token=token, now=story.now) is not None}


def test_what_was_revoked_or_disabled_after_the_backup_stays_so(place: Place) -> None:
    settings = place("old")
    story = office(settings)
    db, tokens = story.db, tokens_of(story.db, story)
    issue(db, person="p-zhou", scopes=["read"], expires=story.now + timedelta(days=1), now=story.now)  # over by itself
    with db.writer() as connection:
        link = live_link(connection, person_id="p-wen", change_id=story.change_id, key_id="k1", now=story.now)
    archive = made(settings, story)
    story.later(days=2)
    revoke(db, token_id=tokens["p-lu"][0], now=story.now)
    with db.writer() as connection:
        connection.execute(update(table(Person)).where(table(Person).c.id == "p-gov").values(disabled_at=story.now))
        connection.execute(update(LINK).where(LINK.c.id == link["id"]).values(revoked_at=story.now))
    _, token = issue(db, person="p-zhou", scopes=["read"], expires=None, now=story.now)
    db.close()
    done = back(settings, archive.path, story, replace=True)
    assert done.resumed.kept is not None
    assert (sorted(done.resumed.kept.tokens), done.resumed.kept.links) == (
        sorted(tokens[who][0] for who in ("p-lu", "p-gov")),
        1,
    )
    assert done.resumed.kept.people == ("p-gov",)
    assert done.resumed.valid_tokens == 1
    again = Database(settings.business_url)
    assert valid(again, story, tokens) == {"p-zhou"}
    assert holder(again, token=token, now=story.now) is None  # issued after the backup: nobody knows it here
    assert found(again, select(LINK).where(LINK.c.id == link["id"]))[0]["revoked_at"] is not None
    [line] = found(again, select(OFFICE_LOG).where(OFFICE_LOG.c.verb == "还原"))
    assert sorted(line["data"]["revoked"]) == sorted(done.resumed.kept.tokens)
    assert line["data"]["disabled"] == ["p-gov"]
    gone = found(again, select(table(Person)).where(table(Person).c.id == "p-gov"))[0]
    assert gone["disabled_at"] is not None
    assert verify(again).findings == []
    again.close()
    # A second restore of the same backup reads it from the first: nothing comes back by doing it twice.
    story.later(minutes=1)
    assert back(settings, archive.path, story, replace=True).resumed.valid_tokens == 1


def test_where_no_former_data_can_be_read_the_tokens_that_are_valid_again_are_counted(place: Place) -> None:
    settings, fresh = place("old"), place("new")
    story = office(settings)
    tokens = tokens_of(story.db, story)
    archive = made(settings, story)
    story.db.close()
    done = back(fresh, archive.path, story)
    assert (done.resumed.kept, done.resumed.valid_tokens) == (None, 3)
    again = Database(fresh.business_url)
    assert valid(again, story, tokens) == set(tokens)
    again.close()


def test_a_backup_replaces_data_that_can_no_longer_be_read(sqlite_place: Place) -> None:
    settings = sqlite_place("old")
    story = office(settings)
    archive = made(settings, story)
    story.db.close()
    broken = settings.home_path / "shixiang.db"
    for path in settings.home_path.glob("shixiang.db*"):
        path.unlink()
    broken.write_bytes(b"not a database" * 1000)
    with pytest.raises(Conflict) as refused:
        back(settings, archive.path, story)
    assert refused.value.code == "home_not_empty"
    done = back(settings, archive.path, story, replace=True)
    assert (done.resumed.kept, done.findings) == (None, [])
    assert done.aside is not None and (Path(done.aside) / "shixiang.db").read_bytes() == b"not a database" * 1000
    db = Database(settings.business_url)
    finish(db, story)
    db.close()


def test_a_backup_goes_into_a_fresh_home_where_links_of_another_secret_are_made_anew(place: Place) -> None:
    settings, fresh = place("old"), place("new")
    story = office(settings)
    with story.db.writer() as connection:
        old = live_link(connection, person_id="p-wen", change_id=story.change_id, key_id="k1", now=story.now)
    archive = made(settings, story)
    story.db.close()
    done = back(fresh, archive.path, story)
    assert done.aside is None
    assert done.resumed.links >= 1
    db = Database(fresh.business_url)
    assert found(db, select(LINK).where(LINK.c.id == old["id"]))[0]["revoked_at"] is not None
    current, secrets = load_secrets(fresh.home_path)
    sent = SqlOutbox(db, current, Claimed).claim(story.now + timedelta(minutes=1), 50, 25)
    mine = next(notice for notice in sent if notice.person_id == "p-wen" and notice.kind == "restored")
    link = found(db, select(LINK).where(LINK.c.id == mine.link_id))[0]
    parts = read_token(make_token(link, secrets))
    person, change_id = desk_of(
        db, link_id=parts.link_id, check=lambda row: check_token(parts, row, secrets), now=story.now
    )
    assert desk(db, person_id=person, change_id=change_id, now=story.now)["assignments"]
    assert [notice.repeat for notice in sent if notice.kind == "draft_opened"] == [1]
    db.close()


def test_the_secret_is_in_the_archive_only_where_it_was_asked_for(sqlite_place: Place) -> None:
    settings, fresh = sqlite_place("old"), sqlite_place("new")
    story = office(settings)
    secret = load_secrets(settings.home_path)
    without, with_it = (
        made(settings, story),
        made(settings, story, to=settings.home_path / "b.tar.gz", with_secret=True),
    )
    for archive, expected in ((without, False), (with_it, True)):
        with tarfile.open(archive.path) as file:
            content = b"".join(part.read() for m in file if (part := file.extractfile(m)) is not None)
        assert (secret[1]["k1"].hex().encode() in content) is expected
    back(fresh, with_it.path, story)
    assert load_secrets(fresh.home_path) == secret
    assert stat.S_IMODE((fresh.home_path / "secret.json").stat().st_mode) == 0o600


def test_nothing_is_written_over_a_file_that_stands(sqlite_place: Place) -> None:
    settings = sqlite_place("old")
    story = office(settings)
    archive = made(settings, story)
    before = archive.path.read_bytes()
    with pytest.raises(Conflict):
        made(settings, story, to=archive.path)
    assert archive.path.read_bytes() == before
    assert [path.name for path in archive.path.parent.iterdir()] == [archive.path.name]


def edited(archive: Path, target: Path, edit: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """A copy of an archive with members changed or left out."""
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        for member in old:
            part = old.extractfile(member)
            assert part is not None
            changed = edit(member.name, part.read())
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    return target


def manifest_with(**values: Any) -> Callable[[str, bytes], tuple[str, bytes]]:
    def edit(name: str, body: bytes) -> tuple[str, bytes]:
        if name != "manifest.json":
            return name, body
        manifest = json.loads(body)
        for key, value in values.items():
            manifest[key] = {**manifest[key], **value} if isinstance(value, dict) else value
        return name, json.dumps(manifest).encode()

    return edit


BROKEN: dict[str, tuple[Callable[[str, bytes], tuple[str, bytes] | None], str]] = {
    "a flipped byte": (lambda n, b: (n, b[:-9] + b"x" + b[-8:]) if n == "database" else (n, b), "backup_broken"),
    "no database": (lambda n, b: None if n == "database" else (n, b), "backup_broken"),
    "a stranger's file": (lambda n, b: ("../evil", b) if n == "database" else (n, b), "backup_broken"),
    "a manifest that lies": (manifest_with(database={"chains": "0"}), "backup_broken"),
    "another kind": (manifest_with(database={"kind": "postgresql"}), "backup_other"),
    "a newer schema": (manifest_with(database={"revision": "9999"}), "backup_other"),
    "another format": (manifest_with(format=99), "backup_other"),
}


def test_an_archive_that_is_not_whole_is_refused_and_nothing_is_touched(sqlite_place: Place, tmp_path: Path) -> None:
    settings, fresh = sqlite_place("old"), sqlite_place("new")
    story = office(settings)
    archive = made(settings, story).path
    wrong: list[tuple[Path, str]] = [
        (edited(archive, tmp_path / f"{n}.tar.gz", edit), code) for n, (edit, code) in enumerate(BROKEN.values())
    ]
    (tmp_path / "cut.tar.gz").write_bytes(archive.read_bytes()[:2000])
    (tmp_path / "text.tar.gz").write_text("no archive", encoding="utf-8")
    wrong += [(tmp_path / "cut.tar.gz", "backup_broken"), (tmp_path / "text.tar.gz", "backup_broken")]
    wrong += [(tmp_path / "nothing.tar.gz", "file_unreadable")]
    for path, code in wrong:
        with pytest.raises(BadInput) as refused:
            back(fresh, path, story)
        assert refused.value.code == code, path
        assert refused.value.message.endswith("。")
        assert {entry.name for entry in fresh.home_path.iterdir()} <= {"up.lock"}


def test_a_home_that_is_in_use_or_half_restored_is_refused(sqlite_place: Place) -> None:
    settings = sqlite_place("old")
    story = office(settings)
    archive = made(settings, story).path
    with (settings.home_path / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict) as refused:
            back(settings, archive, story, replace=True)
    assert "正在运行" in refused.value.message
    with story.db.writer() as connection:
        engine = {
            "id": "e",
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "started_at": story.now,
            "seen_at": story.now,
        }
        connection.execute(insert(ENGINE).values(**engine))
    with pytest.raises(Conflict):
        back(settings, archive, story, replace=True)
    (settings.home_path / "restore-unfinished").touch()
    with pytest.raises(Unusable):
        check_home(settings.home_path)
    with held(settings.home_path):
        pass


def test_a_missing_program_of_postgresql_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = place("old")
    if not settings.database_url:
        pytest.skip("SQLite needs none")
    story = office(settings)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Refusal) as refused:
        made(settings, story)
    assert "pg_dump" in refused.value.message
    story.db.close()
