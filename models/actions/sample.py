"""The sample office: an invented city with departments, people, laws in two texts and a catalogue that cites them.

The same seed gives the same office, whatever the day. `now` only says when it was published and who stands in today.

make_sample
├── _departments, _people   every seat of every shipped procedure has somebody
├── _plan                   which items there are, and which article of which law each rests on
├── _laws                   the laws around these articles; the new text touches a few of them
└── _items                  the catalogue as it stood before the new texts, with a few faults
"""

from __future__ import annotations

import hashlib
import random
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, update

from models.domain.codes import uscc_check
from models.domain.content import BasisContent, ItemContent
from models.domain.errors import BadInput, Conflict
from models.domain.law_text import Article, LawText
from models.domain.numerals import int_to_chinese
from models.store import catalogue, laws, office, views
from models.store.database import Database
from models.store.publication import attach_document, new_publication
from models.store.sealing import OfficeLog

#: The law a demonstration changes: nine items of three departments cite it, and all of them are concerned.
DEMO_LAW: Final = "示例市餐饮服务管理条例"
DEMO_FROM: Final = date(2019, 3, 28)
DEMO_TO: Final = date(2026, 9, 25)
#: The coordinator every change goes to first.
COORDINATOR_ADDRESS: Final = "zhou.min@shili.example"
EFFECTIVE: Final = date(2027, 1, 1)
LEVEL: Final = "2"
#: The departments the demonstration needs stand first in the list of words.
FEWEST_DEPARTMENTS: Final = 7
FAULTY: Final = 0.02
LAW_ARTICLES: Final = (20, 60)

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_BODY_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DAYS = (5, 7, 10, 15, 20, 30, 45)
_COMMON_DAYS = (5, 7, 10, 15)
_PLACEHOLDERS = ("略", "见附件", "无", "/")
_KEYS_OF_ACT = {"permit": ("permit", "permit_change"), "filing": ("filing",), "recognise": ("recognise",)}
_COMMON_KEYS = ("grant", "award", "ruling", "report", "public")

Row = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class SampleSummary:
    """What was made."""

    place: str
    departments: int
    people: int
    laws: int
    law_versions: int
    articles: int
    items: int
    bases: int
    faults: int
    publication: str


def make_sample(
    db: Database, *, items: int = 3000, departments: int = 30, people: int = 80, seed: int = 2026, now: datetime
) -> SampleSummary:
    """Write the sample office into an empty database, all of it or nothing.

    More people are made where the departments need them. Raises Conflict `home_not_empty`, and BadInput
    `field_invalid` for less than the demonstration needs.
    """
    made = _make(items, departments, people, seed)
    return db.write(lambda connection: _write(connection, made, now))


# --- the words -----------------------------------------------------------------------------------------------------


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads(files("models.reference").joinpath("sample_words.toml").read_text(encoding="utf-8"))


def _random(seed: int, part: str) -> random.Random:
    """A stream of its own for each part: more items do not change the people."""
    return random.Random(f"{seed}:{part}")


# --- departments and people ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Department:
    id: str
    full: str
    short: str
    auth: str
    office: str
    body: str
    weight: float
    #: The area of a department beyond the list of words; its items carry it in their names.
    area: str = ""

    @property
    def authority(self) -> str:
        """How a law names it."""
        return f"市{self.auth}部门"


def _departments(number: int) -> list[_Department]:
    words = _words()
    found = [
        _Department(
            row["id"], row["full"], row["short"], row["auth"], row.get("office", ""), row.get("body", "11"),
            row.get("weight", 1.0),
        )
        for row in words["departments"][:number]
    ]  # fmt: skip
    more = words["more"]
    for n in range(number - len(found)):
        area, what = (
            more["areas"][n % len(more["areas"])],
            more["fields"][n // len(more["areas"]) % len(more["fields"])],
        )
        turn = n // (len(more["areas"]) * len(more["fields"]))
        what += f"第{int_to_chinese(turn + 1)}" if turn else ""
        name = f"{area}{what}局"
        found.append(_Department(f"d-area-{n + 1:03d}", f"示例市{name}", name, what, "", "11", 0.5, area))
    return found


def _uscc(department: _Department, number: int, region: str) -> str:
    """A credit code of the right shape: the body's own check digit (GB 11714) and that of the whole."""
    body = f"MB{number * 7919 % 1_000_000:06d}"
    total = sum(_BODY_ALPHABET.index(sign) * weight for sign, weight in zip(body, _BODY_WEIGHTS, strict=True))
    inner = {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))
    first = f"{department.body}{region}{body}{inner}"
    return first + uscc_check(first)


def _department_rows(departments: Sequence[_Department]) -> list[Row]:
    region = _words()["region"]
    government = departments[0].id
    return [
        {
            "id": department.id,
            "full": department.full,
            "short": department.short,
            "uscc": _uscc(department, number, region),
            "level": "4" if department.area else LEVEL,
            "region": region,
            "superior_id": None if department.id == government else government,
            "office": department.office,
        }
        for number, department in enumerate(departments, start=1)
    ]


@dataclass
class _Person:
    name: str
    address: str
    department: str
    roles: tuple[str, ...]


def _people(departments: Sequence[_Department], number: int, rng: random.Random) -> list[_Person]:
    """Everybody: the seats of the words first, then a head and a drafter each, then second drafters."""
    here = {department.id for department in departments}
    fixed = [
        _Person(row["name"], row["address"], row["department"], tuple(row["roles"]))
        for row in _words()["people"]
        if row["department"] in here
    ]
    names = _names(rng, {person.name for person in fixed}, {person.address for person in fixed})
    found = list(fixed)

    def add(department: _Department, role: str) -> None:
        name, address = next(names)
        found.append(_Person(name, address, department.id, (role,)))

    held = Counter((person.department, role) for person in fixed for role in person.roles)
    for department in departments:
        for role in ("approver", "drafter"):
            if not held[department.id, role] and not (department.office == "government" and role == "drafter"):
                add(department, role)
                held[department.id, role] += 1
    affairs = _affairs(departments)
    working = [department for department in departments if affairs[department.id]]
    while len(found) < number:
        fewest = min(held[d.id, "drafter"] for d in working)
        department = next(d for d in working if held[d.id, "drafter"] == fewest)
        add(department, "drafter")
        held[department.id, "drafter"] += 1
    return found


def _names(rng: random.Random, names: set[str], addresses: set[str]) -> Iterator[tuple[str, str]]:
    """Names nobody has yet, each with its address before the @."""
    words = _words()["names"]
    pairs = [(family.split(), given.split()) for family in words["family"] for given in words["given"]]
    rng.shuffle(pairs)
    for turn in count():
        for (family, family_latin), (given, given_latin) in pairs:
            # Beyond all pairs a second given name follows: nobody shares his name with another.
            name = family + given + ("" if not turn else int_to_chinese(turn + 1))
            address = f"{family_latin}.{given_latin}" + ("" if not turn else str(turn + 1))
            if name in names or address in addresses or given[0] == family:
                continue
            names.add(name)
            addresses.add(address)
            yield name, address


def _people_rows(people: Sequence[_Person], rng: random.Random) -> dict[str, list[Row]]:
    """Rows of persons, contacts and posts; every post names the superior the overdue notice goes to."""
    region = _words()["region"]
    ids = {id(person): f"p-{number:03d}" for number, person in enumerate(people, start=1)}
    heads: dict[str, str] = {}
    for person in people:
        if "approver" in person.roles:
            heads.setdefault(person.department, ids[id(person)])
    top = next(ids[id(person)] for person in people if "department_head" in person.roles)
    government = next(person.department for person in people if "department_head" in person.roles)
    rows: dict[str, list[Row]] = {"person": [], "contact": [], "post": []}
    for person in people:
        mine = ids[id(person)]
        superior: str | None = heads[person.department]
        if superior == mine:
            superior = top if person.department == government else heads[government]
        if mine == top:
            superior = None
        since = date(rng.randint(2019, 2024), rng.randint(1, 12), 1)
        rows["person"].append({"id": mine, "name": person.name, "disabled_at": None})
        rows["contact"].append(
            {
                "id": f"c-{mine}",
                "person_id": mine,
                "kind": "mail",
                "address": f"{person.address}@shili.example",
                "shared": False,
            }
        )
        rows["post"] += [
            {
                "id": f"{mine}-{role}",
                "person_id": mine,
                "department_id": person.department,
                "role": role,
                "from_on": since,
                "to_on": None,
                "level": LEVEL,
                "region": region,
                "superior_person_id": superior,
            }
            for role in person.roles
        ]
    return rows


def _away(people: Sequence[_Person]) -> tuple[str, str]:
    """Who is away and who stands in: two drafters of one department outside the demonstration."""
    drafters: dict[str, list[str]] = defaultdict(list)
    for number, person in enumerate(people, start=1):
        if "drafter" in person.roles:
            drafters[person.department].append(f"p-{number:03d}")
    demo = {row["department"] for row in _words()["demo"]["items"]}
    quiet = [ids for department, ids in drafters.items() if len(ids) > 1 and department not in demo]
    pair = (quiet or [ids for ids in drafters.values() if len(ids) > 1])[-1]
    return pair[0], pair[1]


# --- which items there are -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Planned:
    """One item to be: whose, about what, and the article (by its key) of the law it rests on."""

    department: _Department
    law: int
    key: Key
    act: Row
    code: str
    name: str
    result: str


def _plan(departments: Sequence[_Department], number: int, rng: random.Random) -> list[_Planned]:
    """The items of all departments: one affair after another, the chief acts first."""
    affairs = _affairs(departments)
    working = [department for department in departments if affairs[department.id]]
    quotas = _quotas(working, number)
    serials: dict[str, Iterator[int]] = {act["type"]: count(1001) for act in _words()["acts"]}
    found: list[_Planned] = []
    for department in working:
        families = _families(affairs[department.id], rng)
        left = quotas[department.id]
        while left > 0:
            law, affair, said, act = next(families)
            main = next(serials[act["type"]])
            for sub, words in enumerate(act["names"][:left], start=1):
                key = (affair, _key_of(act["key"], sub)) if act["key"] in _KEYS_OF_ACT else ("", act["key"])
                tail = f"{sub:03d}" if len(act["names"]) > 1 else "000"
                code = f"{_words()['region'][:2]}{act['type']}{main:05d}{tail}"
                found.append(
                    _Planned(department, law, key, act, code, department.area + said + words, said + act["result"])
                )
                left -= 1
    return found


def _key_of(act: str, sub: int) -> str:
    keys = _KEYS_OF_ACT[act]
    return keys[min(sub, len(keys)) - 1]


def _affairs(departments: Sequence[_Department]) -> dict[str, list[tuple[int, str]]]:
    """The affairs of each department as (law, affair); an area's bureau has some of everybody's."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    areas = [department for department in departments if department.area]
    here = {department.id for department in departments}
    turn = 0
    for number, law in enumerate(_words()["laws"]):
        for department, objects in law["objects"].items():
            if department not in here:
                continue
            found[department] += [(number, affair) for affair in objects]
            for affair in objects if areas else ():
                # An area's bureaus differ in their affairs, so that no name comes twice in an area.
                for area in sorted({a.area for a in areas}):
                    mine = [a for a in areas if a.area == area]
                    found[mine[turn % len(mine)].id].append((number, affair))
                turn += 1
    return found


def _quotas(working: Sequence[_Department], number: int) -> dict[str, int]:
    """How many items each department has, by its weight; together exactly `number`."""
    total = sum(department.weight for department in working)
    shares = {department.id: int(number * department.weight / total) for department in working}
    for department in working[: number - sum(shares.values())]:
        shares[department.id] += 1
    return shares


def _families(affairs: Sequence[tuple[int, str]], rng: random.Random) -> Iterator[tuple[int, str, str, Row]]:
    """(law, affair, the affair as the item says it, act) without end; each affair first with a permit or a filing."""
    acts = {act["key"]: act for act in _words()["acts"]}
    words = _words()["qualifiers"]["words"]
    for turn in count():
        word = "" if not turn else words[turn - 1] if turn <= len(words) else f"第{int_to_chinese(turn)}类"
        chief, rest = [], []
        for law, affair in affairs:
            wanted = [key for key, act in acts.items() if rng.random() < act["share"]]
            first = "filing" if "filing" in wanted and "permit" not in wanted else "permit"
            chief.append((law, affair, word + affair, acts[first]))
            rest += [(law, affair, word + affair, acts[key]) for key in wanted if key != first]
        rng.shuffle(chief)
        rng.shuffle(rest)
        yield from chief
        yield from rest


# --- laws ----------------------------------------------------------------------------------------------------------


@dataclass
class _Draft:
    """One article of a law to be: its sentence with the words that go into it."""

    key: Key
    template: str
    values: dict[str, str] = field(default_factory=dict)
    days: int = 0
    conditions: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    no: int = 0

    def text(self, **other: str) -> str:
        return self.template.format_map({**self.values, **other})


@dataclass
class _Law:
    title: str
    old: LawText
    new: LawText
    #: The articles of the old text by what they rule.
    drafts: dict[Key, _Draft]
    #: An article that many items of the law cite besides.
    common: int


def _laws(planned: Sequence[_Planned], departments: Sequence[_Department], seed: int) -> list[_Law]:
    """The laws in the order of the words; `planned` says which articles are cited, and by whom."""
    uses: dict[int, dict[Key, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in planned:
        uses[item.law][item.key].append(item.department.id)
    by_id = {department.id: department for department in departments}
    return [
        _law(row, uses[number], by_id, _random(seed, f"law {number}")) for number, row in enumerate(_words()["laws"])
    ]


def _law(row: Row, uses: dict[Key, list[str]], departments: dict[str, _Department], rng: random.Random) -> _Law:
    kind = "办法" if row["title"].endswith("办法") else "条例"
    words = {"t": row["topic"], "kind": kind, "a": "有关主管部门"}
    sentences = _words()["sentences"]
    names = [departments[key].authority for key in row["objects"] if key in departments]
    head = [_Draft(("head", str(n)), text, {**words, "all": "、".join(names) or words["a"]})
            for n, text in enumerate(sentences["head"])]  # fmt: skip
    head += [_article(("", key), words, rng) for key in _COMMON_KEYS if ("", key) in uses]
    body = _body(row, uses, words, departments, rng, LAW_ARTICLES[0] - len(head))
    room = LAW_ARTICLES[1] - 2 - len(head) - len(body)
    tail = [_Draft(("tail", str(n)), text, words) for n, text in enumerate(sentences["tail"][: max(room, 2)])]
    old_on = date(rng.randint(2019, 2022), rng.randint(1, 11), rng.randint(5, 28))
    new_on = date(2026, rng.randint(9, 10), rng.randint(8, 28))
    since = date(old_on.year + (old_on.month > 9), (old_on.month + 2) % 12 + 1, 1)
    drafts = [*head, *body, *tail]
    for no, draft in enumerate(drafts, start=1):
        draft.no = no
    old = [*(draft.text() for draft in drafts), _in_force(kind, since)]
    new = _amended(head, body, tail, uses, rng)
    return _Law(
        title=row["title"],
        old=_law_text(row["title"], old_on, since, old, [old_on]),
        new=_law_text(row["title"], new_on, EFFECTIVE, [*new, _in_force(kind, EFFECTIVE)], [old_on, new_on]),
        drafts={draft.key: draft for draft in drafts},
        common=len(sentences["head"]),
    )


def _body(
    row: Row,
    uses: dict[Key, list[str]],
    words: dict[str, str],
    departments: dict[str, _Department],
    rng: random.Random,
    fewest: int,
) -> list[_Draft]:
    """The articles on single affairs: those that items rest on, and others where the law would be too short."""
    affairs = [(affair, department) for department, objects in row["objects"].items() for affair in objects]
    keys = [
        (affair, key, department) for affair, department in affairs for found in _KEYS_OF_ACT.values() for key in found
    ]
    short = fewest - sum(1 for affair, key, _ in keys if (affair, key) in uses)
    found: list[_Draft] = []
    for affair, key, department in keys:
        if (affair, key) not in uses:
            if short <= 0:
                continue
            short -= 1
        authority = departments[department].authority if department in departments else words["a"]
        found.append(_article((affair, key), {**words, "o": affair, "a": authority}, rng))
    return found


def _article(key: Key, values: dict[str, str], rng: random.Random) -> _Draft:
    sentences = _words()["sentences"]
    days = rng.choice(_COMMON_DAYS if key[1] in _COMMON_KEYS else _DAYS)
    conditions = tuple(rng.sample(sentences["conditions"], 3))
    materials = tuple(rng.sample(sentences["materials"], rng.randint(2, 4)))
    listed = "、".join(materials[:-1]) + "和" + materials[-1]
    values = {
        **values,
        "d": f"{int_to_chinese(days)}日",
        "m": listed,
        "y": rng.choice("二三五"),
        **{f"c{n}": text for n, text in enumerate(conditions, start=1)},
    }
    return _Draft(key, rng.choice(sentences[key[1]]), values, days, conditions, materials)


def _amended(
    head: Sequence[_Draft],
    body: Sequence[_Draft],
    tail: Sequence[_Draft],
    uses: dict[Key, list[str]],
    rng: random.Random,
) -> list[str]:
    """The new text without its last article: one article more and one less around a few that move, some amended."""
    added = rng.sample(_words()["sentences"]["added"], 2)
    few = [n for n in range(4, len(body)) if 0 < len(uses.get(body[n].key, ())) <= 2]
    gone = rng.choice(few) if few else len(body) - 1
    first = max(gone - rng.randint(2, 4), 0)
    touched = {body[n].key for n in range(first, gone + 1)}
    changed = _chosen([draft for draft in body if draft.key not in touched], uses, touched, rng)
    changed |= {body[n].key for n in range(first, gone) if rng.random() < 0.3}
    new = [draft.text() for draft in head]
    for n, draft in enumerate(body):
        if n == first:
            new.append(added[0])
        if n != gone:
            new.append(_changed(draft, rng) if draft.key in changed else draft.text())
    new += [draft.text().replace("一千元以上五千元以下", "二千元以上一万元以下") for draft in tail]
    return [*new, added[1]]


def _chosen(body: Sequence[_Draft], uses: dict[Key, list[str]], touched: set[Key], rng: random.Random) -> set[Key]:
    """The articles to amend, in turn by department, until a good number of items is concerned."""
    concerned = sum(len(uses.get(key, ())) for key in touched)
    target = rng.randint(18, 42)
    turns: dict[str, list[_Draft]] = defaultdict(list)
    for draft in body:
        if draft.key in uses:
            turns[uses[draft.key][0]].append(draft)
    for drafts in turns.values():
        rng.shuffle(drafts)
    found: set[Key] = set()
    # One round in any case, so that every department is concerned.
    in_turn = [drafts[turn] for turn in range(len(body)) for drafts in turns.values() if turn < len(drafts)]
    for number, draft in enumerate(in_turn[: len(body) // 2]):
        if concerned >= target and number >= len(turns):
            break
        found.add(draft.key)
        concerned += len(uses[draft.key])
    return found


def _changed(draft: _Draft, rng: random.Random) -> str:
    """The article as amended: shorter days always, then and now another authority or one sentence more."""
    values = {"d": f"{int_to_chinese(max(draft.days * 3 // 5, 3))}个工作日"}
    if rng.random() < 0.3:
        values["a"] = "所在地区" + draft.values["a"].removeprefix("市")
    more = rng.choice(_words()["sentences"]["extra"]) if rng.random() < 0.35 else ""
    return draft.text(**values) + more


def _in_force(kind: str, day: date) -> str:
    return str(_words()["sentences"]["last"]).format(kind=kind, day=_said(day))


def _said(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _law_text(title: str, edition: date, effective: date, texts: Sequence[str], dates: Sequence[date]) -> LawText:
    ordinance = title.endswith("条例")
    who, did = ("示例市人民代表大会常务委员会", "通过") if ordinance else ("示例市人民政府", "公布")
    header = [f"{_said(day)}{who}{'修订' if n else did}" for n, day in enumerate(dates)]
    return LawText(
        title=title,
        edition_on=edition,
        promulgated_on=edition,
        effective_on=effective,
        certainty="certain",
        header=tuple(header),
        articles=tuple(Article(no=no, text=text) for no, text in enumerate(texts, start=1)),
    )


def _demo_texts() -> tuple[LawText, LawText]:
    demo = _words()["demo"]
    return (
        _law_text(DEMO_LAW, DEMO_FROM, date(2019, 7, 1), demo["old"], [DEMO_FROM]),
        _law_text(DEMO_LAW, DEMO_TO, EFFECTIVE, demo["new"], [DEMO_FROM, DEMO_TO]),
    )


def _general_text() -> LawText:
    general = _words()["general"]
    edition = date.fromisoformat(general["edition"])
    return _law_text(
        general["title"], edition, date.fromisoformat(general["effective"]), general["articles"], [edition]
    )


# --- items ---------------------------------------------------------------------------------------------------------


@dataclass
class _Made:
    """The whole office before it is written."""

    departments: list[Row]
    people: dict[str, list[Row]]
    away: tuple[str, str]
    laws: list[LawText]
    items: list[ItemContent]
    faults: int


def _make(items: int, departments: int, people: int, seed: int) -> _Made:
    demo_items = _words()["demo"]["items"]
    if departments < FEWEST_DEPARTMENTS or items < len(demo_items):
        raise BadInput(
            "field_invalid",
            f"示例数据至少需要 {FEWEST_DEPARTMENTS} 个部门和 {len(demo_items)} 个事项，"
            f"现为 {departments} 个部门、{items} 个事项。",
            field="departments" if departments < FEWEST_DEPARTMENTS else "items",
        )
    offices = _departments(departments)
    persons = _people(offices, people, _random(seed, "people"))
    planned = _plan(offices, items - len(demo_items), _random(seed, "plan"))
    made_laws = _laws(planned, offices, seed)
    old, new = _demo_texts()
    general = _general_text()
    contents = _demo_items(offices, old, _random(seed, "demo"))
    others, faults = _items(planned, made_laws, general, _random(seed, "items"))
    texts = [text for law in made_laws for text in (law.old, law.new)]
    return _Made(
        departments=_department_rows(offices),
        people=_people_rows(persons, _random(seed, "posts")),
        away=_away(persons),
        laws=[old, new, *texts, general],
        items=[*contents, *others],
        faults=faults,
    )


def _demo_items(departments: Sequence[_Department], law: LawText, rng: random.Random) -> list[ItemContent]:
    by_id = {department.id: department for department in departments}
    found = []
    for row in _words()["demo"]["items"]:
        article = law.articles[row["article"] - 1]
        basis = BasisContent(law=law.title, edition=law.edition_on, article=article.no, quoted=article.text)
        sentences = _words()["sentences"]
        found.append(
            _content(
                name=row["name"], code=row["code"], kind=row["code"][2:4], department=by_id[row["department"]],
                bases=(basis,), days=row["days"], conditions=tuple(rng.sample(sentences["conditions"], 2)),
                materials=tuple(rng.sample(sentences["materials"], 3)), result=row["result"], rng=rng,
            )
        )  # fmt: skip
    return found


def _items(
    planned: Sequence[_Planned], made: Sequence[_Law], general: LawText, rng: random.Random
) -> tuple[list[ItemContent], int]:
    """The contents of the planned items and how many of them have a fault."""
    found: list[ItemContent] = []
    faulty = set(rng.sample(range(len(planned)), int(len(planned) * FAULTY)))
    for number, item in enumerate(planned):
        law = made[item.law]
        draft = law.drafts[item.key]
        content = _content(
            name=item.name, code=item.code, kind=item.act["type"], department=item.department,
            bases=_bases(law, draft, general, rng), days=draft.days, conditions=draft.conditions,
            materials=draft.materials, result=item.result, rng=rng,
        )  # fmt: skip
        found.append(rng.choice(_FAULTS)(content, rng) if number in faulty else content)
    return found, len(faulty)


def _bases(law: _Law, draft: _Draft, general: LawText, rng: random.Random) -> tuple[BasisContent, ...]:
    """The article itself, for some a second one of the same law, and the general regulation."""
    numbers = [draft.no] + ([law.common] if rng.random() < 0.2 else [])
    found = [_cites(law.old, no) for no in numbers]
    if rng.random() < 0.5:
        found.append(_cites(general, rng.choice((3, 5, 7, 8, 10))))
    elif rng.random() < 0.04:
        found.append(BasisContent(law=general.title))
    return tuple(found)


def _cites(law: LawText, no: int) -> BasisContent:
    return BasisContent(law=law.title, edition=law.edition_on, article=no, quoted=law.articles[no - 1].text)


def _content(
    *,
    name: str,
    code: str,
    kind: str,
    department: _Department,
    bases: tuple[BasisContent, ...],
    days: int,
    conditions: tuple[str, ...],
    materials: tuple[str, ...],
    result: str,
    rng: random.Random,
) -> ItemContent:
    """One item of the catalogue with all that its guide says."""
    phone = rng.randint(1000, 4999)
    floor, window = rng.randint(1, 4), rng.randint(1, 40)
    fee = f"工本费每件 {rng.choice((5, 10, 20))} 元" if rng.random() < 0.06 else "不收费"
    return ItemContent(
        name=name,
        type=kind,
        code=code,
        department=department.id,
        organs=(department.full,),
        bases=bases,
        level="4" if department.area else LEVEL,
        scope=f"本指南适用于{name}的申请与办理。",
        service_object=rng.choice(("自然人", "企业法人", "企业法人、其他组织", "自然人、企业法人、其他组织")),
        conditions="；".join(conditions) + "。",
        quantity="无数量限制",
        materials=materials,
        process="申请、受理、审查、决定、送达",
        statutory_days=days,
        statutory_unit="工作日",
        promised_days=max(days * rng.randint(3, 8) // 10, 1),
        promised_unit="工作日",
        result=result,
        fee=fee,
        rights="申请人可以查询办理进度，对决定不服的，可以依法申请行政复议或者提起行政诉讼；对材料的真实性负责。",
        reception=f"示例市政务服务中心 {floor} 楼 {window} 号窗口，工作日 9:00—17:00",
        consultation=f"0990-5550{phone}",
        complaint=f"0990-5550{phone + 5000}",
        handling_form="窗口办理、网上办理",
        disclosure="示例市人民政府网站",
    )


def _no_basis(content: ItemContent, rng: random.Random) -> ItemContent:
    return content.model_copy(update={"bases": ()})


def _placeholder(content: ItemContent, rng: random.Random) -> ItemContent:
    first = content.bases[0].model_copy(update={"quoted": rng.choice(_PLACEHOLDERS)})
    return content.model_copy(update={"bases": (first, *content.bases[1:])})


def _half_quoted(content: ItemContent, rng: random.Random) -> ItemContent:
    quoted = content.bases[0].quoted or ""
    first = content.bases[0].model_copy(update={"quoted": quoted[: len(quoted) // 2]})
    return content.model_copy(update={"bases": (first, *content.bases[1:])})


def _promised_too_long(content: ItemContent, rng: random.Random) -> ItemContent:
    return content.model_copy(update={"promised_days": (content.statutory_days or 0) + rng.randint(1, 10)})


def _one_phone(content: ItemContent, rng: random.Random) -> ItemContent:
    return content.model_copy(update={"complaint": content.consultation})


def _nothing_asked(content: ItemContent, rng: random.Random) -> ItemContent:
    return content.model_copy(update={"conditions": None, "materials": ("其他材料",)})


_FAULTS: tuple[Callable[[ItemContent, random.Random], ItemContent], ...] = (
    _no_basis, _placeholder, _half_quoted, _promised_too_long, _one_phone, _nothing_asked,
)  # fmt: skip


# --- writing -------------------------------------------------------------------------------------------------------


def _write(connection: Connection, made: _Made, now: datetime) -> SampleSummary:
    if not views.is_vacant(connection):
        raise Conflict("home_not_empty", "数据目录中已有数据，未建立示例数据。请换一个空的数据目录。")
    office.set_meta(connection, "sample", "true")
    office.set_meta(connection, "place", _words()["place"])
    _write_office(connection, made, now)
    for text in made.laws:
        laws.save_law(connection, text)
    number = _publish(connection, made.items, now)
    return SampleSummary(
        place=_words()["place"],
        departments=len(made.departments),
        people=len(made.people["person"]),
        laws=len({text.title for text in made.laws}),
        law_versions=len(made.laws),
        articles=sum(len(text.articles) for text in made.laws),
        items=len(made.items),
        bases=sum(len(content.bases) for content in made.items),
        faults=made.faults,
        publication=number,
    )


def _write_office(connection: Connection, made: _Made, now: datetime) -> None:
    target = office.DEPARTMENT
    connection.execute(insert(target), [{**row, "superior_id": None} for row in made.departments])
    government = made.departments[0]["id"]
    connection.execute(update(target).where(target.c.id != government).values(superior_id=government))
    for name, table in (("person", office.PERSON), ("contact", office.CONTACT), ("post", office.POST)):
        connection.execute(insert(table), made.people[name])
    today = now.astimezone(_SHANGHAI).date()
    connection.execute(
        insert(office.SUBSTITUTE).values(
            id="sub-001",
            person_id=made.away[0],
            by_person_id=made.away[1],
            from_on=today - timedelta(days=5),
            to_on=today + timedelta(days=60),
        )
    )


def _publish(connection: Connection, items: Sequence[ItemContent], now: datetime) -> str:
    """The catalogue as one publication some months ago, with its document and the lists as they stood then."""
    month = now.astimezone(_SHANGHAI).date().replace(day=1) - timedelta(days=100)
    began = datetime.combine(month.replace(day=1), time(), _SHANGHAI)
    log = OfficeLog(connection, now)
    publication_id, number = new_publication(
        connection, change_id=None, title="初始目录", effective_at=began, now=began, put=log.kept.insert
    )
    versions = [
        catalogue.NewVersion.of(f"itm-{content.code}", content, identity=f"own:{content.code}") for content in items
    ]
    catalogue.write_versions(
        connection,
        publication_id=publication_id,
        versions=versions,
        effective_at=began,
        now=began,
        put=log.kept.insert,
    )
    log.line("建立示例", about=number, publication=publication_id, count=len(versions))
    attach_document(
        connection,
        publication_id=publication_id,
        sha256=hashlib.sha256("\n".join(version.hash for version in versions).encode()).hexdigest(),
        title="关于公布示例市政务服务事项初始目录的通知",
        issuer="示例市政务服务办公室",
        now=began,
    )
    for name in catalogue.LISTS:
        catalogue.snapshot_list(connection, name=name, publication_id=publication_id)
    return number
