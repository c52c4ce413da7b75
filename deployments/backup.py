"""Backup and restore of an office: its data, its documents, and on request the secret of its links, as one file.

The archive is a gzipped tar, mode 0600, written beside its place and renamed: `manifest.json` (what the parts are, their
SHA-256, what the data held), `database`, `documents/…`, and `secret.json` only where it was asked for. Prefect's data is
not in it: runs are made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from models.actions import engine
from models.actions.audit import Finding, verify
from models.actions.restoring import Resumed, Revoked, resume, revoked_in
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Conflict, Refusal, Unusable
from models.domain.os_words import reason_of
from models.settings import Settings
from models.store.copying import Facts, Staged, copy_out
from models.store.database import Database
from models.store.migrate import head, migrate
from models.store.sealing import OfficeLog
from notifications.links import load_secrets

FORMAT = 1
MANIFEST, DATABASE, SECRET, DOCUMENTS = "manifest.json", "database", "secret.json", "documents"
#: Stands in a home while a restore puts things in their place; `up` does not start with it.
MARKER = "restore-unfinished"


@dataclass(frozen=True)
class Made:
    """A backup: its file, size, facts, and whether the secret is in it."""

    path: Path
    bytes: int
    facts: Facts
    documents: int
    secret: bool


@dataclass(frozen=True)
class Restored:
    """What a restore did; `findings` are what `audit verify` found in the copy before anything was changed."""

    taken_at: datetime
    facts: Facts
    resumed: Resumed
    documents: int
    aside: str | None
    findings: list[Finding]


def _program() -> str:
    try:
        return version("shixiang")
    except PackageNotFoundError:
        return "0.1.0"


def fingerprints(home: Path) -> tuple[str, dict[str, str]]:
    """The current key's id, and a mark of each key that tells it from another and does not reveal it."""
    current, keys = load_secrets(home)
    return current, {name: hashlib.sha256(b"mark\x1f" + key).hexdigest()[:16] for name, key in keys.items()}


# --- backup --------------------------------------------------------------------------------------------------------


def backup(settings: Settings, db: Database, *, to: Path | None, with_secret: bool, now: datetime) -> Made:
    """Write a backup to a file or into a folder (default: `backups` in the home) while the system runs.

    Raises `Conflict file_exists`, `Unusable` home_read_only, disk_full, pg_tools, copy_failed.
    """
    home = settings.home_path
    name = f"shixiang-{now.astimezone(SHANGHAI):%Y%m%d-%H%M%S}.tar.gz"
    target = to or home / "backups"
    if to is None or to.is_dir() or not target.suffix:
        target = target / name
    target = target.expanduser().absolute()
    if target.exists():
        raise Conflict("file_exists", f"{target} 已存在，未覆盖。请换一个文件名。")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
            made = _write(Path(folder), target, settings, db, with_secret, now)
    except OSError as error:
        raise _no_room(target.parent, error) from error
    db.write(
        lambda connection: OfficeLog(connection, now).line("备份", via="cli", about=target.name, secret=with_secret)
    )
    db.write(lambda connection: engine.note_backup(connection, now=now))
    return made


def _no_room(folder: Path, error: OSError) -> Unusable:
    if error.errno in {28, 27}:
        return Unusable("disk_full", f"{folder} 的空间不足，未作任何改动。")
    return Unusable("home_read_only", f"{folder} 不能写入（{reason_of(error)}），未作任何改动，请检查权限和空间。")


def _write(work: Path, target: Path, settings: Settings, db: Database, with_secret: bool, now: datetime) -> Made:
    home = settings.home_path
    # Ours first: a document is stored before the row that names it.
    facts = copy_out(db, work / DATABASE)
    parts = {DATABASE: work / DATABASE}
    if with_secret:
        load_secrets(home)
        parts[SECRET] = home / SECRET
    documents = {f"{DOCUMENTS}/{path.relative_to(home / DOCUMENTS)}": path for path in _files(home / DOCUMENTS)}
    current, marks = fingerprints(home)
    manifest = {
        "format": FORMAT,
        "program": _program(),
        "taken_at": now.isoformat(),
        "database": asdict(facts),
        "keys": {"current": current, "marks": marks},
        "parts": {name: _mark(path) for name, path in {**parts, **documents}.items()},
    }
    fresh = work / "archive"
    with (
        open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive,
    ):
        body = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
        archive.addfile(_member(MANIFEST, len(body), now), io.BytesIO(body))
        for name, path in {**parts, **documents}.items():
            with path.open("rb") as part:
                archive.addfile(_member(name, path.stat().st_size, now), part)
        archive.close()
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, target)  # never over a file that stands
    except FileExistsError:
        raise Conflict("file_exists", f"{target} 已存在，未覆盖。请换一个文件名。") from None
    return Made(target, target.stat().st_size, facts, len(documents), with_secret)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _member(name: str, size: int, now: datetime) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(now.timestamp())
    return member


def _mark(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


# --- restore -------------------------------------------------------------------------------------------------------


def restore(settings: Settings, archive: Path, *, replace: bool, now: datetime) -> Restored:
    """Put a backup in the place of what stands. Everything is made ready beside it and proved before anything is moved.

    Raises `BadInput` file_unreadable, backup_broken, backup_other; `Conflict` home_in_use, home_not_empty; `Unusable`.
    """
    home = settings.home_path
    if not archive.is_file():  # asked first: no home is made for a file that is not there
        reason = "这是一个文件夹" if archive.is_dir() else "没有这个文件"
        raise BadInput("file_unreadable", f"备份 {archive} 打不开：{reason}，未还原。", file=str(archive))
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(home), tempfile.TemporaryDirectory(prefix=".restoring-", dir=home) as folder:
            return _restore(settings, archive, Path(folder), replace, now)
    except OSError as error:
        raise _no_room(home, error) from error


def _restore(settings: Settings, archive: Path, work: Path, replace: bool, now: datetime) -> Restored:
    home = settings.home_path
    manifest = _unpack(archive, work)
    there = Facts(**manifest["database"])
    staged = Staged(settings.business_url, work)
    if (there.kind == "sqlite") != staged.sqlite:
        raise BadInput(
            "backup_other", f"该备份来自 {there.kind}，与 SHIXIANG_DATABASE_URL 的数据库不同，未还原。", kind=there.kind
        )
    if there.revision is None or there.revision > head():
        raise BadInput("backup_other", f"该备份的数据版本（{there.revision}）比程序新，未还原。请先升级程序。")
    occupied = staged.occupied()
    if occupied and not replace:
        raise Conflict("home_not_empty", f"{home} 中已有数据，未还原。确要替换，请加 `--replace`；原有数据会另存。")
    revoked = None
    if occupied:
        revoked = _replaced(settings, now)
        staged.check_unused()
    try:
        found = staged.fill(work / DATABASE, there.server)
        if found.chains != there.chains or found.counts != there.counts:
            raise BadInput("backup_broken", "还原出来的内容与备份时的记录不符，未还原。")
        findings, resumed = _ready(staged, manifest, archive, work, home, revoked, now)
        return _swap(settings, staged, work, manifest, Restored(
            datetime.fromisoformat(manifest["taken_at"]), found, resumed, 0, None, findings), now)  # fmt: skip
    except BaseException:
        with contextlib.suppress(Refusal):
            staged.drop()
        raise


def _ready(
    staged: Staged,
    manifest: dict[str, Any],
    archive: Path,
    work: Path,
    home: Path,
    revoked: Revoked | None,
    now: datetime,
) -> tuple[list[Finding], Resumed]:
    """The copy at the newest schema, proved, and ready to go on."""
    db = Database(staged.url)
    try:
        migrate(db)
        findings = verify(db).findings
        _, marks = fingerprints(work if (work / SECRET).exists() else home)
        good = [name for name, mark in manifest["keys"]["marks"].items() if marks.get(name) == mark]
        taken_at = datetime.fromisoformat(manifest["taken_at"])
        return findings, resume(db, taken_at=taken_at, archive=archive.name, good_keys=good, revoked=revoked, now=now)
    finally:
        db.close()


def _swap(
    settings: Settings, staged: Staged, work: Path, manifest: dict[str, Any], done: Restored, now: datetime
) -> Restored:
    """Put everything in its place; what stood there goes to `before-…` in the home."""
    home = settings.home_path
    stamp = f"{now.astimezone(SHANGHAI):%Y%m%d_%H%M%S}"
    aside = home / f"before-{stamp}"
    marker = home / MARKER
    marker.write_text(f"{stamp}\n", encoding="utf-8")
    moved = []
    # Prefect's data knows runs of a time that is no more; runs are made anew.
    for name in (DOCUMENTS, "prefect", *([SECRET] if (work / SECRET).exists() else [])):
        if (home / name).exists():
            aside.mkdir(exist_ok=True, mode=0o700)
            shutil.move(home / name, aside / name)
            moved.append(name)
        if (work / name).exists():
            shutil.move(work / name, home / name)
    kept = staged.swap(stamp, aside)
    marker.unlink()
    documents = sum(1 for name in manifest["parts"] if name.startswith(f"{DOCUMENTS}/"))
    where = str(aside) if moved or (kept and staged.sqlite) else None
    names = "、".join(part for part in (where, kept if not staged.sqlite else None) if part) or None
    return Restored(done.taken_at, done.facts, done.resumed, documents, names, done.findings)


def _unpack(archive: Path, work: Path) -> dict[str, Any]:
    """The parts of an archive in a folder, each with the hash its manifest names; the manifest."""
    broken = BadInput("backup_broken", f"{archive} 不是完整的备份，未还原。", file=str(archive))
    try:
        with tarfile.open(archive, "r:gz") as file:
            first = file.next()
            if first is None or first.name != MANIFEST or (body := file.extractfile(first)) is None:
                raise broken
            manifest: dict[str, Any] = json.loads(body.read())
            if manifest.get("format") != FORMAT:
                raise BadInput("backup_other", f"{archive} 的格式（{manifest.get('format')}）与程序不符，未还原。")
            wanted = dict(manifest["parts"])
            for member in file:
                if member is first:
                    continue
                part = file.extractfile(member) if member.isfile() else None
                if part is None or member.name not in wanted or not _plain(member.name):
                    raise broken
                _unpack_one(part, work / member.name, wanted.pop(member.name), broken)
            if wanted:
                raise broken
            return manifest
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in {27, 28, 13}:
            raise
        raise broken from error


def _plain(name: str) -> bool:
    parts = Path(name).parts
    return ".." not in parts and not Path(name).is_absolute() and (name in {DATABASE, SECRET} or parts[0] == DOCUMENTS)


def _unpack_one(part: IO[bytes], target: Path, wanted: dict[str, Any], broken: BadInput) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(part, file, 1 << 20)
    if _mark(target) != wanted:
        raise broken


# --- nobody else in the home ---------------------------------------------------------------------------------------


@contextmanager
def held(home: Path) -> Iterator[None]:
    """The home for this command alone, as `up` holds it. Raises `Conflict home_in_use`."""
    with (home / "up.lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("home_in_use", f"数据目录 {home} 的系统正在运行，未还原。请先停掉它。") from error
        yield


def _replaced(settings: Settings, now: datetime) -> Revoked | None:
    """What was revoked in the data that are replaced; None where they cannot be read, which is why one restores.

    Raises `Conflict home_in_use` where an engine without `up` works on them.
    """
    db = Database(settings.business_url)
    try:
        revoked = revoked_in(db)
        working = [] if revoked is None else engine.engines_alive(db, now=now)
    finally:
        db.close()
    for pid, host in working:
        if host != socket.gethostname() or Path(f"/proc/{pid}").exists():
            raise Conflict("home_in_use", f"流程引擎（{host}，进程 {pid}）正在运行，未还原。请先停掉它。")
    return revoked
