"""Loading an office's own data: departments, people, laws, items. Bad rows never stop a load.

load → Loaded
├── departments, people, laws     one transaction a file
└── items                         all files in one transaction: one publication, each file one of its documents

The same files again change nothing: an item is compared with what was imported last, so that a load never takes back
what a change has published since.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from models.domain.citation import Place, format_annex, read_citations
from models.domain.codes import is_blank_placeholder
from models.domain.content import BasisContent, ItemContent, content_hash
from models.domain.errors import BadInput, Refusal, Unusable
from models.domain.law_text import LawText, canonical_title
from models.intake.files import Source, examine, json_table, parse_csv, read_text, unreadable
from models.intake.items import ItemRow, content_of, identity, read_items
from models.intake.laws import read_law_files
from models.intake.office import DepartmentRow, PersonRow, read_departments, read_people
from models.intake.rows import Outcome, Problem, ReadFile, ReadRow, Report, refused, warned
from models.store import catalogue, laws, office
from models.store.database import Database
from models.store.publication import PUBLICATION, attach_document, new_publication
from models.store.sealing import OfficeLog
from models.store.turns import take_turn
from models.tables import metadata, new_id

KINDS = ("departments", "people", "laws", "items")
FIRST_TITLE, LATER_TITLE = "初始目录", "导入"
#: A post without a first day has always been held.
SINCE_EVER = date(2000, 1, 1)
RAW_BASES = "设定和实施依据（原文）"
MADE = "由下级事项编码补建"
#: So many rows added or changed make a database plan for tables that are no more.
MANY = 1_000
_LAW_SUFFIXES = frozenset({".md", ".jsonl", ".txt"})
_SUFFIXES = _LAW_SUFFIXES | {".csv", ".json"}
_KEPT_TABLES = frozenset({"engine", "workday"})
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_UNUSABLE = frozenset({"file_unreadable", "file_too_large"})
# Which office a department is, told from its name where the file does not say so.
_OFFICES = (
    ("list", re.compile(r"机构编制|编办$")),
    ("law", re.compile(r"司法[厅局]$")),
    ("service", re.compile(r"(?:政务服务|审批制度改革|行政审批).*(?:办公室|办|局|中心)$|审改办$")),
    ("government", re.compile(r"(?:人民政府|市政府|省政府|区政府|县政府)(?:办公[厅室])?$")),
)
_OFFICE_OF_ROLE = (("coordinator", "service"), ("list_reviewer", "list"), ("legality_reviewer", "law"))

Result = TypeVar("Result")


@dataclass
class Loaded:
    """What became of a load: a report a file, and the publication its items made (None where nothing changed)."""

    files: list[Report] = field(default_factory=list)
    unusable: int = 0
    publication: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer of `load --json`."""
        return {"files": [report.as_json() for report in self.files], "publication": self.publication}

    @property
    def exit_code(self) -> int:
        """0 none refused, 1 some rows refused, 2 a file that cannot be used."""
        return 2 if self.unusable else 1 if any(report.refused for report in self.files) else 0


@dataclass
class _File:
    """A file of the load in its place; `report` is there once it was read or refused."""

    path: Path
    kind: str = ""
    source: Source | None = None
    report: Report | None = None


def load(
    db: Database, *, paths: Sequence[Path], kind: str | None = None, replace_sample: bool = False, now: datetime
) -> Loaded:
    """Load files and folders: departments, then people, laws and items, whatever their order.

    A file that cannot be used is refused in the report, the others are loaded all the same. Raises Unusable
    `sample_mixed` where the home holds the sample office, unless `replace_sample` empties it first.
    """
    if kind is not None and kind not in KINDS:
        raise BadInput("field_invalid", f"“--kind”应为 {'、'.join(KINDS)} 之一，现为“{kind}”。", field="kind")
    with db.reader() as connection:
        sample = office.is_sample(connection)
    if sample and not replace_sample:
        raise Unusable("sample_mixed", "当前是示例数据，未导入；要用真实数据替换，请加 `--replace-sample`。")
    loaded = Loaded()
    suffixes = _LAW_SUFFIXES if kind == "laws" else _SUFFIXES
    files = [_opened(path, kind, loaded) for path in _expanded(paths, suffixes)]
    room = _Room(db, now, sample)
    for file in _of(files, "departments"):
        _try(file, loaded, partial(room.departments, file))
    for file in _of(files, "people"):
        _try(file, loaded, partial(room.people, file))
    room.laws(_of(files, "laws"), loaded)
    loaded.publication = room.items(_of(files, "items"), loaded)
    loaded.files = [file.report for file in files if file.report is not None]
    if sum(report.added + report.changed for report in loaded.files) >= MANY:
        db.gather_statistics()
    return loaded


def _expanded(paths: Iterable[Path], suffixes: Collection[str]) -> list[Path]:
    """The files named, folders by what they hold in the order of names; none twice."""
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes) if path.is_dir() else [path]
        if path.is_dir() and not inside:
            inside = [path]
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _opened(path: Path, kind: str | None, loaded: Loaded) -> _File:
    file = _File(path, kind or "")
    try:
        if kind == "laws" and path.is_file():
            return file
        source = examine(path)
        if kind is not None and source.kind != kind:
            raise unreadable(path, f"内容是 {source.kind}，不是 {kind}")
        file.kind, file.source = source.kind, source
    except Refusal as refusal:
        _refuse(file, loaded, refusal)
    return file


def _refuse(file: _File, loaded: Loaded, refusal: Refusal) -> None:
    """The file as a whole cannot be used."""
    loaded.unusable += 1
    file.report = Report(str(file.path), file.kind)
    file.report.note([Problem(row=0, field="", level="refusal", message=refusal.message)])


def _of(files: Iterable[_File], kind: str) -> list[_File]:
    return [file for file in files if file.kind == kind and file.report is None]


def _try(file: _File, loaded: Loaded, verb: Callable[[], Report]) -> None:
    try:
        file.report = verb()
    except BadInput as refusal:
        _refuse(file, loaded, refusal)


class _Room:
    """The database of one load; the first write empties the sample office where it is to be replaced."""

    def __init__(self, db: Database, now: datetime, clear: bool) -> None:
        self.db, self.now, self.clear = db, now, clear

    def write(self, verb: Callable[[Connection], Result]) -> Result:
        def whole(connection: Connection) -> Result:
            take_turn(connection, "load")  # two loads at once would each add the same rows
            if self.clear:
                _empty(connection)
                OfficeLog(connection, self.now).line("清空示例", via="cli")
            return verb(connection)

        result = self.db.write(whole)
        self.clear = False
        return result

    def told(self, connection: Connection, report: Report) -> Report:
        """The report of a file, with its line in the office's log where something was written."""
        if report.added or report.changed:
            log, name = OfficeLog(connection, self.now), Path(report.file).name
            log.line("载入", via="cli", about=name, kind=report.kind, added=report.added, changed=report.changed)
        return report

    def departments(self, file: _File) -> Report:
        read = read_departments(file.path, file.source)
        return self.write(lambda c: self.told(c, _departments(c, _report(file, read), read.rows)))

    def people(self, file: _File) -> Report:
        read = read_people(file.path, file.source)
        today = self.now.astimezone(_SHANGHAI).date()
        return self.write(lambda c: self.told(c, _people(c, _report(file, read), read.rows, today)))

    def laws(self, files: Sequence[_File], loaded: Loaded) -> None:
        read: list[tuple[_File, list[LawText | Refusal]]] = []
        for file in files:
            found = [law for _, law in read_law_files([file.path])]
            first = found[0] if len(found) == 1 else None
            if isinstance(first, Refusal) and first.code in _UNUSABLE:
                _refuse(file, loaded, first)
            else:
                read.append((file, found))
        # Collections overlap: of two copies of one text the later one stands, or each load would turn them over.
        winners = {_edition(law): law for _, found in read for law in found if isinstance(law, LawText)}
        for file, found in read:
            write = partial(_laws, file=file, found=found, winners=winners)
            file.report = self.write(lambda c, write=write: self.told(c, write(c)))  # type: ignore[misc]

    def items(self, files: Sequence[_File], loaded: Loaded) -> str | None:
        """All item files in one transaction; the number of the publication."""
        drawn: list[tuple[_File, list[_Drawn]]] = []
        notes: list[tuple[Problem, ...]] = []
        for file in files:
            try:
                read = read_items(file.path, file.source)
            except BadInput as refusal:
                _refuse(file, loaded, refusal)
                continue
            drawn.append((file, [_drawn(row) for row in read.rows]))
            notes.append(read.notes)
        if not drawn:
            return None

        def verb(connection: Connection) -> tuple[list[Report], str | None]:
            take_turn(connection, "publication")  # what stands now must still stand when it is replaced
            writing = _Items(connection, self.now, [(file.path, rows) for file, rows in drawn])
            reports = writing.reports()
            return reports, writing.publish()

        reports, number = self.write(verb)
        for (file, _), report, noted in zip(drawn, reports, notes, strict=True):
            report.note(noted)
            file.report = report
        return number


def _report(file: _File, read: ReadFile[Any]) -> Report:
    report = Report(str(file.path), read.kind)
    report.note(read.notes)
    return report


def _empty(connection: Connection) -> None:
    """Take the sample office out: every table but the engines that run and the official holidays."""
    for target in reversed(metadata.sorted_tables):
        if target.name not in _KEPT_TABLES:
            connection.execute(delete(target))


def _keep_columns(connection: Connection, kind: str, columns: dict[str, dict[str, str]]) -> set[str]:
    """Keep columns no field has, by id; returns the ids for which they differ from what was kept."""
    key = f"columns.{kind}"
    before: dict[str, dict[str, str]] = json.loads(office.get_meta(connection, key) or "{}")
    moved = {id_ for id_, cells in columns.items() if before.get(id_, {}) != cells}
    if moved:
        after = {id_: cells for id_, cells in {**before, **columns}.items() if cells}
        office.set_meta(connection, key, json.dumps(after, ensure_ascii=False))
    return moved


# --- departments ---------------------------------------------------------------------------------------------------


def _departments(connection: Connection, report: Report, rows: Sequence[ReadRow[DepartmentRow]]) -> Report:
    target = office.DEPARTMENT
    known = {row["id"]: dict(row) for row in connection.execute(select(target)).mappings()}
    values = [row.value for row in rows if row.value is not None]
    ids = set(known) | {value.id for value in values}
    moved = _keep_columns(connection, "departments", {value.id: value.extra for value in values})
    added: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for read in rows:
        if read.value is None:
            report.count(read.problems, None)
            continue
        problems = list(read.problems)
        wanted = _department_values(read.value, ids, known.get(read.value.id), problems)
        outcome: Outcome = "added" if read.value.id not in known else "unchanged"
        if outcome == "added":
            added.append(wanted)
        elif known[read.value.id] != wanted:
            changed.append(wanted)
            outcome = "changed"
        report.count(problems, "changed" if outcome == "unchanged" and read.value.id in moved else outcome)
    if added:
        # A superior may stand further down in the file: first without, then with him.
        connection.execute(insert(target), [{**row, "superior_id": None} for row in added])
    _update(connection, target, changed + [row for row in added if row["superior_id"]])
    return report


def _department_values(
    row: DepartmentRow, ids: set[str], standing: dict[str, Any] | None, problems: list[Problem]
) -> dict[str, Any]:
    superior = row.superior
    if superior is not None and superior not in ids:
        problems.append(warned(row.row, "superior", f"没有编号为“{superior}”的部门，未登记上级"))
        superior = None
    written = row.extra.get("office", "")
    told = written if written in {name for name, _ in _OFFICES} else _office_of(row.full)
    return {
        "id": row.id,
        "full": row.full,
        "short": row.short,
        "uscc": row.uscc,
        "level": row.level,
        "region": row.region,
        "superior_id": superior,
        "office": told or (standing["office"] if standing else ""),
    }


def _office_of(name: str) -> str:
    return next((code for code, pattern in _OFFICES if pattern.search(name)), "")


def _update(connection: Connection, target: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Write all columns of rows that exist, by id."""
    if rows:
        statement = update(target).where(target.c.id == bindparam("of_id"))
        columns: dict[str, Any] = {name: bindparam(f"new_{name}") for name in rows[0] if name != "id"}
        values = [
            {"of_id": row["id"], **{f"new_{name}": value for name, value in row.items() if name != "id"}}
            for row in rows
        ]
        connection.execute(statement.values(**columns), values)


class _Names:
    """Departments by id or name, with what is similar where there is none."""

    def __init__(self, connection: Connection) -> None:
        self.index = office.department_index(connection)
        self._reasons: dict[str, str] = {}

    def find(self, text: str) -> str | None:
        return self.index.get(text.strip())

    def reason(self, text: str) -> str:
        """Why a name was not found, without full stop."""
        if text not in self._reasons:
            similar = difflib.get_close_matches(text, self.index, n=3, cutoff=0.6)
            near = f"，相近的有：{'、'.join(similar)}" if similar else ""
            self._reasons[text] = f"没有名为“{text}”的部门{near}"
        return self._reasons[text]


# --- people --------------------------------------------------------------------------------------------------------


def _people(connection: Connection, report: Report, rows: Sequence[ReadRow[PersonRow]], today: date) -> Report:
    names = _Names(connection)
    people = dict(connection.execute(select(office.PERSON.c.id, office.PERSON.c.name)).tuples().all())
    values = [row.value for row in rows if row.value is not None]
    addresses = _Addresses(connection, values)
    posts = _Posts(connection, today)
    extra: dict[str, dict[str, str]] = {}
    for value in values:
        extra.setdefault(value.id, {}).update(value.extra)
    moved = _keep_columns(connection, "people", extra)
    fresh: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for read in rows:
        if read.value is None:
            report.count(read.problems, None)
            continue
        person = read.value
        problems = list(read.problems) + addresses.problems(person)
        new = person.id not in people and person.id not in fresh
        if new:
            fresh[person.id] = person.name
        changed = person.id in moved or addresses.moved(person.id)
        if people.get(person.id, person.name) != person.name:
            renamed[person.id] = person.name
            changed = True
        department = names.find(person.department) if person.department else None
        if person.department and department is None:
            problems.append(warned(person.row, "department", names.reason(person.department)))
        if department is not None:
            first, differs = posts.settle(person, department)
            new, changed = new or (first and person.id in fresh), changed or differs
        report.count(problems, "added" if new else "changed" if changed else "unchanged")
    if fresh:
        connection.execute(insert(office.PERSON), [{"id": key, "name": name} for key, name in fresh.items()])
    _update(connection, office.PERSON, [{"id": key, "name": name} for key, name in renamed.items()])
    addresses.save(connection)
    posts.save(connection)
    _name_offices(connection)
    return report


class _Addresses:
    """The mail addresses of the file beside those that stand; one address of several people is marked as shared."""

    def __init__(self, connection: Connection, values: Sequence[PersonRow]) -> None:
        contact = office.CONTACT
        query = select(contact.c.person_id, contact.c.address, contact.c.shared).where(contact.c.kind == "mail")
        self.standing = {person: (address, bool(shared)) for person, address, shared in connection.execute(query)}
        wanted: dict[str, str | None] = {}
        for value in values:
            wanted[value.id] = wanted.get(value.id) or value.email
        self.mine = set(wanted)
        after: dict[str, str | None] = {person: address for person, (address, _) in self.standing.items()}
        after.update(wanted)
        self.holders: dict[str, list[str]] = {}
        for person, address in after.items():
            if address:
                self.holders.setdefault(address.casefold(), []).append(person)
        self.wanted = {
            person: (address, len(self.holders[address.casefold()]) > 1) for person, address in after.items() if address
        }
        self._told: set[str] = set()

    def moved(self, person_id: str) -> bool:
        return self.wanted.get(person_id) != self.standing.get(person_id)

    def problems(self, person: PersonRow) -> list[Problem]:
        holders = self.holders.get((person.email or "").casefold(), [])
        others = [holder for holder in holders if holder != person.id]
        if not others:
            return []
        reason = f"邮箱“{person.email}”与编号“{'、'.join(others[:3])}”相同，按共用邮箱登记"
        return [warned(person.row, "email", reason)]

    def save(self, connection: Connection) -> None:
        contact = office.CONTACT
        moved = [person for person in {*self.standing, *self.wanted} if self.moved(person)]
        for some in catalogue.chunks(sorted(set(moved) & set(self.standing))):
            connection.execute(delete(contact).where(and_(contact.c.kind == "mail", contact.c.person_id.in_(some))))
        rows = [
            {"id": new_id("con"), "person_id": person, "kind": "mail", "address": address, "shared": shared}
            for person, (address, shared) in sorted(self.wanted.items())
            if person in set(moved)
        ]
        if rows:
            connection.execute(insert(contact), rows)


class _Posts:
    """Posts of people in departments; a role that a file no longer names ends yesterday and is kept."""

    def __init__(self, connection: Connection, today: date) -> None:
        self.today = today
        self.known: dict[tuple[str, str], dict[tuple[str, date], dict[str, Any]]] = {}
        for row in connection.execute(select(office.POST)).mappings():
            key = (row["person_id"], row["department_id"])
            self.known.setdefault(key, {})[(row["role"], row["from_on"])] = dict(row)
        self.fresh: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.gone: list[str] = []

    def settle(self, person: PersonRow, department_id: str) -> tuple[bool, bool]:
        """Bring the posts of one row about: (none stood before, something differs)."""
        standing = self.known.setdefault((person.id, department_id), {})
        first, differs = not standing, False
        since = person.from_on or SINCE_EVER
        for role in person.roles:
            wanted = {"to_on": person.to_on, "level": person.level, "region": person.region}
            row = standing.get((role, since))
            if row is None:
                made = {
                    "id": new_id("post"), "person_id": person.id, "department_id": department_id, "role": role,
                    "from_on": since, "superior_person_id": None, **wanted,
                }  # fmt: skip
                standing[(role, since)] = made
                self.fresh.append(made)
                differs = True
            elif {name: row[name] for name in wanted} != wanted:
                row.update(wanted)
                self.changed.append(row)
                differs = True
        for (role, from_on), row in standing.items():
            held = row["to_on"] is None or row["to_on"] >= self.today
            if held and (role, from_on) not in {(one, since) for one in person.roles}:
                differs = True
                self._end(row)
        return first, differs

    def _end(self, row: dict[str, Any]) -> None:
        yesterday = self.today - timedelta(days=1)
        row["to_on"] = yesterday
        if row["from_on"] > yesterday:
            self.gone.append(row["id"])
        else:
            self.changed.append(row)

    def save(self, connection: Connection) -> None:
        for some in catalogue.chunks(self.gone):
            connection.execute(delete(office.POST).where(office.POST.c.id.in_(some)))
        _update(connection, office.POST, self.changed)
        if self.fresh:
            connection.execute(insert(office.POST), self.fresh)


def _name_offices(connection: Connection) -> None:
    """Where no department is known as an office by its name, the one that holds the office's posts is."""
    department, post = office.DEPARTMENT, office.POST
    for role, code in _OFFICE_OF_ROLE:
        taken = connection.execute(select(func.count()).select_from(department).where(department.c.office == code))
        if taken.scalar_one():
            continue
        holders = select(post.c.department_id).where(post.c.role == role)
        connection.execute(
            update(department).where(and_(department.c.id.in_(holders), department.c.office == "")).values(office=code)
        )


# --- laws ----------------------------------------------------------------------------------------------------------


def _edition(law: LawText) -> tuple[str, date]:
    return canonical_title(law.title), law.edition_on


def _laws(
    connection: Connection,
    *,
    file: _File,
    found: Sequence[LawText | Refusal],
    winners: Mapping[tuple[str, date], LawText],
) -> Report:
    report = Report(str(file.path), "laws")
    for number, law in enumerate(found, start=1):
        if isinstance(law, Refusal):
            name = str(law.details.get("field") or "text")
            report.count([Problem(row=number, field=name, level="refusal", message=law.message)], None)
            continue
        winner = winners[_edition(law)]
        if winner is law:
            words = f"《{law.title}》没有写明通过、修改或者公布的日期，以施行日期 {law.edition_on} 为文本日期"
            doubts = [warned(number, "version_date", words)] if law.dated_by_force else []
            report.count(doubts, laws.save_law(connection, law))
        elif laws.text_hash(winner) == laws.text_hash(law):
            report.count([], "unchanged")
        else:
            reason = f"《{law.title}》{law.edition_on} 的文本在后面又有一份且不相同，以后面的为准"
            report.count([warned(number, "text", reason)], "unchanged")
    return report


# --- items ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    """A row as read, with the bases found in its text; `ranges` as in `catalogue.NewVersion`."""

    read: ReadRow[ItemRow]
    bases: tuple[BasisContent, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass
class _Known:
    """A target that stands: the hash of its version, the hash last imported, and whether a change came after it."""

    item_id: str
    hash: str | None
    state: str
    adjusted: bool
    imported: str | None = None


def _drawn(read: ReadRow[ItemRow]) -> _Drawn:
    row = read.value
    if row is None or not row.basis_text:
        return _Drawn(read, () if row is None else row.bases)
    bases, ranges = list(row.bases), []
    for citation in read_citations(row.basis_text).citations:
        if not citation.is_legal_basis:
            continue
        for place in citation.articles or (Place(),):
            bases.append(
                BasisContent(
                    law=citation.full_title,
                    edition=citation.edition_on,
                    article=place.article,
                    sub=place.sub,
                    paragraph=place.paragraph,
                    item=place.item,
                    subitem=place.subitem,
                    annex=None if citation.annex is None else format_annex(citation.annex),
                    quoted=citation.quoted,
                )
            )
            if place.to_article is not None:
                ranges.append((len(bases), place.to_article))
    problems = () if bases else (warned(row.row, "设定依据", "没有识别出法律法规及其条款，依据按原文保留"),)
    return _Drawn(read, tuple(bases), tuple(ranges), problems)


class _Items:
    """The item files of one load, settled against the catalogue as sets."""

    def __init__(self, connection: Connection, now: datetime, files: Sequence[tuple[Path, Sequence[_Drawn]]]) -> None:
        self.connection, self.now, self.files = connection, now, files
        self.names = _Names(connection)
        self.known = _known(connection)
        self.targets = _targets(connection)
        #: Which row of which file stands for an identity: the last one.
        self.claims = {
            identity(drawn.read.value): (number, drawn.read.row)
            for number, (_, rows) in enumerate(files)
            for drawn in rows
            if drawn.read.value is not None
        }
        self.versions: list[catalogue.NewVersion] = []
        self.made: dict[str, catalogue.NewVersion] = {}
        self.made_keys: set[str] = set()
        self.named: dict[str, str] = {}
        #: Rows that are the items above others, by source and name.
        self.mains = {
            (drawn.read.value.source, drawn.read.value.name): identity(drawn.read.value)
            for _, rows in files
            for drawn in rows
            if drawn.read.value is not None and drawn.read.value.code is None and not drawn.read.value.main_name
        }
        self.touched: list[bool] = []
        self._ids = {
            key: standing.item_id if (standing := self.known.get(key)) else new_id("itm") for key in self.claims
        }
        for _, rows in files:
            for drawn in rows:
                row = drawn.read.value
                if row is not None and row.code is not None and not row.mark:
                    self.targets.setdefault((row.kind, row.code.upper()), self._ids[identity(row)])

    def reports(self) -> list[Report]:
        found = []
        for number, (path, rows) in enumerate(self.files):
            report = Report(str(path), "items")
            for drawn in rows:
                self._count(report, number, drawn)
            self.touched.append(bool(report.added or report.changed))
            found.append(report)
        return found

    def _count(self, report: Report, number: int, drawn: _Drawn) -> None:
        row = drawn.read.value
        if row is None:
            report.count(drawn.read.problems, None)
            return
        problems = [*drawn.read.problems, *drawn.problems]
        department = self.names.find(row.department_text) if row.department_text else None
        if row.department_text and department is None:
            problems.append(warned(row.row, "主管部门", self.names.reason(row.department_text)))
        key = identity(row)
        file, winner = self.claims[key]
        if (file, winner) != (number, row.row):
            reason = f"与 {self.files[file][0].name} 第 {winner} 行是同一事项，以那一行为准"
            report.count([*problems, warned(row.row, "事项编码" if row.code else "事项名称", reason)], "unchanged")
            return
        content = _content(row, department or "", drawn.bases)
        mark = content_hash(content)
        standing = self.known.get(key)
        if standing is not None and mark == (standing.imported or standing.hash):
            report.count(problems, "unchanged")
            return
        if standing is not None and standing.adjusted:
            problems.append(warned(row.row, "整行", "该事项在上次导入后经变更调整过，现按文件更新"))
        parent = None if standing is not None else self._parent(row, department, key)
        self.versions.append(
            catalogue.NewVersion(
                item_id=self._ids[key],
                content=content.model_dump(mode="json"),
                name=content.name,
                type=content.type,
                code=content.code,
                department_id=department,
                department_text=row.department_text,
                state="active" if standing is None else standing.state,
                adjustment_id=None,
                legal_since=None,
                hash=mark,
                kind=row.kind,
                identity=key,
                parent_id=parent,
                ranges=drawn.ranges,
            )
        )
        report.count(problems, "added" if standing is None else "changed")

    def _parent(self, row: ItemRow, department: str | None, key: str) -> str | None:
        """The target above a row by its code, made where there is none."""
        above: str | None = None
        if row.parent_code and not is_blank_placeholder(row.parent_code):
            above = self._ensure("item", row.parent_code, row, department, None, row.parent_name or row.name)
        if row.main_name:
            above = self._ensure_named(row, row.main_name, department)
        if row.kind == "handling" and row.code is not None:
            return self._ensure("implementation", row.code[:31], row, department, above, row.name)
        return None if above == self._ids[key] else above

    def _ensure(self, kind: str, code: str, row: ItemRow, department: str | None, parent: str | None, name: str) -> str:
        found = self.targets.get((kind, code.upper()))
        if found is not None:
            return found
        item_id = new_id("itm")
        self.targets[(kind, code.upper())] = item_id
        key = self._free_identity(f"{row.source}:{code}")
        self._make(item_id, kind, key, code, row, department, parent, name)
        return item_id

    def _make(
        self,
        item_id: str,
        kind: str,
        key: str,
        code: str | None,
        row: ItemRow,
        department: str | None,
        parent: str | None,
        name: str,
    ) -> None:
        """A target that no row describes, from what a row below it says."""
        content = ItemContent(
            name=name, type=row.type_code, code=code, department=department or "", level=row.level, extra={"来源": MADE}
        )
        self.made[item_id] = catalogue.NewVersion(
            item_id=item_id,
            content=content.model_dump(mode="json"),
            name=name,
            type=row.type_code,
            code=code,
            department_id=department,
            department_text=row.department_text,
            state="active",
            adjustment_id=None,
            legal_since=None,
            hash=content_hash(content),
            kind=kind,
            identity=key,
            parent_id=parent,
        )

    def _ensure_named(self, row: ItemRow, name: str, department: str | None) -> str:
        """The item a source without codes names above a row: a row of that name, else one made for it."""
        key = self.mains.get((row.source, name)) or f"{row.source}::{name}"
        found = self._ids.get(key) or self.named.get(key)
        if found is None:
            standing = self.known.get(key)
            found = self.named[key] = new_id("itm") if standing is None else standing.item_id
            if standing is None:
                self._make(found, "item", key, None, row, department, None, name)
        return found

    def _free_identity(self, key: str) -> str:
        """A key no target has: a foreign code may be written in two ways that differ in case alone."""
        while key in self.known or key in self.claims or key in self.made_keys:
            key += "'"
        self.made_keys.add(key)
        return key

    def publish(self) -> str | None:
        """Write what is new or changed as one publication with each file as a document; its number."""
        if not self.versions:
            return None
        first = not self.connection.execute(select(func.count()).select_from(PUBLICATION)).scalar_one()
        log = OfficeLog(self.connection, self.now)
        publication_id, number = new_publication(
            self.connection,
            change_id=None,
            title=FIRST_TITLE if first else LATER_TITLE,
            effective_at=self.now,
            now=self.now,
            put=log.kept.insert,
        )
        for (path, _), touched in zip(self.files, self.touched, strict=True):
            if touched:
                mark = hashlib.sha256(path.read_bytes()).hexdigest()
                attach_document(
                    self.connection, publication_id=publication_id, sha256=mark, title=path.name, now=self.now
                )
        catalogue.write_versions(
            self.connection,
            publication_id=publication_id,
            versions=_parents_first([*self.made.values(), *self.versions]),
            effective_at=self.now,
            now=self.now,
            put=log.kept.insert,
        )
        log.line(
            "载入",
            via="cli",
            about=number,
            publication=publication_id,
            kind="items",
            count=len(self.made) + len(self.versions),
        )
        for name in catalogue.LISTS:
            catalogue.snapshot_list(self.connection, name=name, publication_id=publication_id)
        return number


def _content(row: ItemRow, department: str, bases: Sequence[BasisContent]) -> ItemContent:
    """The content of a row; the text its bases were read from is kept word for word."""
    kept = dict(row.extra)
    if row.basis_text:
        kept[RAW_BASES] = row.basis_text
    if row.parent_name and not row.parent_code:
        kept["主项名称"] = row.parent_name
    return content_of(row.model_copy(update={"extra": kept}), department, bases)


def _known(connection: Connection) -> dict[str, _Known]:
    item, version = catalogue.ITEM.c, catalogue.VERSION.c
    query = select(item.identity, item.id, version.hash, version.state, version.adjustment_id).outerjoin(
        catalogue.VERSION, and_(version.item_id == item.id, catalogue.STANDING)
    )
    found = {
        key: _Known(item_id, mark, state or "active", adjustment is not None)
        for key, item_id, mark, state, adjustment in connection.execute(query)
    }
    if found:
        imported = select(version.item_id, version.hash).where(version.adjustment_id.is_(None)).order_by(version.no)
        last = dict(connection.execute(imported).tuples().all())
        for known in found.values():
            known.imported = last.get(known.item_id)
    return found


def _targets(connection: Connection) -> dict[tuple[str, str], str]:
    """Kind and code of every target that stands to its id."""
    item, version = catalogue.ITEM.c, catalogue.VERSION.c
    query = (
        select(item.kind, version.code, item.id)
        .join(catalogue.VERSION, and_(version.item_id == item.id, catalogue.STANDING))
        .where(version.code.is_not(None))
        .order_by(item.id)
    )
    return {(kind, str(code).upper()): item_id for kind, code, item_id in connection.execute(query)}


def _parents_first(versions: Sequence[catalogue.NewVersion]) -> list[catalogue.NewVersion]:
    """In an order in which each parent is written before its children."""
    waiting = {version.item_id: version for version in versions}
    ordered: list[catalogue.NewVersion] = []
    for version in versions:
        line: list[catalogue.NewVersion] = []
        at: str | None = version.item_id
        while at is not None and at in waiting:
            line.append(waiting.pop(at))
            at = line[-1].parent_id
        ordered.extend(reversed(line))
    return ordered


# --- the calendar --------------------------------------------------------------------------------------------------

_WORKS = {"1": True, "true": True, "是": True, "工作日": True, "0": False, "false": False, "否": False, "休息日": False}


def load_calendar(db: Database, *, path: Path) -> Report:
    """Load days of an official arrangement: CSV or JSON with `date` and `workday` (1 or 0).

    Raises BadInput file_unreadable for another kind of file. What is counted in working days follows by itself.
    """
    text = read_text(path)
    table = json_table(path, text) if text.lstrip()[:1] in "[{" else parse_csv(path, text)
    column = next((name for name in ("workday", "is_workday") if name in table.columns), None)
    if "date" not in table.columns or column is None:
        raise unreadable(path, f"应有 date、workday 两列，现有“{'、'.join(table.columns)}”")
    report = Report(str(path), "calendar")
    days: dict[date, bool] = {}
    refusals = [refused(number, "整行", reason) for number, reason in table.bad]
    for number, record in table.records:
        day, works = _day(record["date"]), _WORKS.get(record.get(column, "").lower())
        if day is None:
            refusals.append(refused(number, "date", f"“{record['date']}”不是日期，例如 2027-01-01"))
        elif works is None:
            refusals.append(refused(number, column, f"“{record.get(column, '')}”应为 1（工作日）或者 0（休息日）"))
        elif day in days:
            refusals.append(refused(number, "date", f"{day} 在前面已经写过"))
        else:
            days[day] = works
    report.note(refusals)
    report.refused, report.taken = len(refusals), len(days)
    if days:
        counts = db.write(lambda connection: office.save_workdays(connection, days))
        report.added, report.changed, report.unchanged = counts
    return report


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
