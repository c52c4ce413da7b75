"""What the figures say: the goals, a page, and drawings made without a plotting library.

Figures are kept part by part in `docs/benchmarks.json`; a part that is measured again replaces its own figures alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FILE, PAGE, PICTURES = DOCS / "benchmarks.json", DOCS / "benchmarks.md", DOCS / "pictures"
STORES = ("sqlite", "postgresql")
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
Found = dict[str, Any]


# --- goals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """A figure that is wanted: where it stands in a part's figures, and its limit by store."""

    name: str
    part: str
    read: Callable[[Found], float]
    limits: dict[str, float]
    unit: str
    at_least: bool = False


@dataclass(frozen=True)
class Line:
    """A goal beside what was measured; `reached` is None where it was not."""

    name: str
    store: str
    value: str
    goal: str
    reached: bool | None


def _both(limit: float) -> dict[str, float]:
    return dict.fromkeys(STORES, limit)


def _p95(key: str) -> Callable[[Found], float]:
    return lambda found: float(found[key]["p95"])


def _large(way: str, key: str) -> Callable[[Found], float]:
    return lambda found: float(found[way][key])


def _plain(key: str) -> Callable[[Found], float]:
    return lambda found: float(found[key])


STAGE_WISE, SHEET_WISE = "stage by stage, s", "sheet by sheet, s"
AMONG_MANY = "stage by stage, 3,600 of 100,000 items, s"


#: What the same change costs in a catalogue of 100,000 items, as a multiple of what it costs in one of 3,600, by the same run.
GROWN = "3,600 of 100,000 items / of 3,600"
GROWS = ("preview", "assess", "engine time of five stages", "version switch")


GOALS = (
    Goal("hot: decision to next mail, p95", "latency", _p95("hot: decision to next mail, ms"), _both(60), "ms"),
    Goal("cold: decision to next mail, p95", "latency", _p95("cold: decision to next mail, ms"),
         {"sqlite": 600, "postgresql": 400}, "ms"),
    Goal("30 hot in a burst, p95", "burst", _p95("30 hot: decision to next mail, ms"), _both(120), "ms"),
    Goal("6 parking in a burst, p95", "burst", _p95("6 parking: decision to next mail, ms"),
         {"sqlite": 1200, "postgresql": 800}, "ms"),
    Goal("burst: decisions without a mail", "burst", lambda found: float(found["failures"]), _both(0), ""),
    Goal("assessing 3,600 items", "large", _large(STAGE_WISE, "assess"), _both(2), "s"),
    Goal("five stages, stage by stage: engine time", "large", _large(STAGE_WISE, "engine time of five stages"), _both(20), "s"),
    Goal("version switch", "large", _large(STAGE_WISE, "version switch"), _both(1), "s"),
    Goal("version switch with lists and notices", "large",
         _large(STAGE_WISE, "version switch and all that closes the change"), _both(10), "s"),
    Goal("adjustment-steps a second, in bulk", "large", _large(STAGE_WISE, "adjustment-steps a second"), _both(2000), "",
         at_least=True),
    *(Goal(f"{key}, {GROWN}", "large", _large(GROWN, key), _both(1.2), "") for key in GROWS),
    Goal("a step after 200 rounds / a fresh one", "rounds", lambda found: float(found["ratio"]), _both(1.2), ""),
    Goal("10,000 citations", "laws", _plain("10,000 citations, s"), _both(1), "s"),
    Goal("a text of 1 MB", "laws", _plain("a text of 1 MB, s"), _both(1), "s"),
    Goal("a text of 1 MB / one of half of it", "laws", _plain("a text of 1 MB to one of half of it"), _both(2.5), ""),
    Goal("公司法 2018→2023 compared", "laws", _plain("公司法 2018→2023 compared, s"), _both(0.3), "s"),
    Goal("library of 1,300 versions imported", "laws", _plain("library of 1,300 versions imported, s"), _both(30), "s"),
    Goal("impact over 3,600 items", "laws", _plain("impact, a city's catalogue, s"), _both(0.05), "s"),
    Goal("impact over 100,000 items", "laws", _plain("impact, a province's catalogue, s"), _both(0.5), "s"),
    Goal("impact over 1,000,000 bases", "laws", _plain("impact, a province's bases, s"), _both(3), "s"),
    Goal("memory while reading laws", "laws", _plain("memory at most, MB"), _both(500), "MB"),
    Goal("pulse: what needs waking, p95", "waiting", _p95("pulse: what needs waking, ms"), _both(5), "ms"),
    Goal("pulse: legs nobody carries, p95", "waiting", _p95("pulse: legs nobody carries, ms"), _both(5), "ms"),
    Goal("watch over 10,000, longest", "waiting", lambda found: max(found["watch, s"]), _both(1), "s"),
    Goal("board over 10,000, p95", "waiting", _p95("board, ms"), _both(200), "ms"),
    Goal("engine idle over 10,000", "waiting", lambda found: float(found["idle, % of one core"]["engine"]), _both(3), "%"),
)  # fmt: skip


def goals(found: Found) -> list[Line]:
    """Every goal whose part was measured, by store; a figure that an earlier measurement did not take is left out."""
    lines = []
    for goal in GOALS:
        for store, limit in goal.limits.items():
            figures = found.get(goal.part, {}).get(store)
            if figures is None:
                continue
            try:
                value = goal.read(figures)
            except KeyError:
                continue
            reached = value >= limit if goal.at_least else value <= limit
            sign = "≥" if goal.at_least else "≤"
            lines.append(Line(goal.name, store, f"{value:g} {goal.unit}".strip(), f"{sign} {limit:g}", reached))
    return lines


# --- keeping -------------------------------------------------------------------------------------------------------


def keep(found: Found) -> None:
    """Put what was measured beside what is kept, and write page and drawings anew."""
    kept: Found = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for part, figures in found.items():
        kept[part] = {**kept.get(part, {}), **figures} if part not in ("machine", "peers") else figures
    FILE.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write(kept)


def write(kept: Found) -> None:
    """The page and its drawings."""
    PICTURES.mkdir(exist_ok=True)
    for name, drawing in drawings(kept).items():
        (PICTURES / f"bench-{name}.svg").write_text(drawing, encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


def drawings(kept: Found) -> dict[str, str]:
    """The drawings that the figures allow, by name."""
    made = {}
    bars = _latency_bars(kept)
    if bars:
        title = "From a decision to the next person's mail, ms: p50 dark, p95 light, goal for p95 as a line"
        made["latency"] = bars_svg(title, bars)
    if "peers" in kept:
        bars = [
            Bar(_peer_name(key, one), one[NEXT]["p50"], one[NEXT]["p95"], None)
            for key, one in kept["peers"].items()
            if isinstance(one, dict) and NEXT in one
        ]
        made["peers"] = bars_svg(
            "From a decision to the next human step, ms, logarithmic: p50 dark, p95 light", bars, log=True
        )
    if "large" in kept:
        bars = [
            Bar(f"{TITLES[store]}, {way.removesuffix(', s')}: {stage}", seconds, seconds, None)
            for store, found in kept["large"].items()
            for way in (STAGE_WISE, SHEET_WISE)
            for stage, seconds in found[way]["engine time by stage"].items()
        ]
        made["large"] = bars_svg("Engine time of each stage over 3,600 items, s", bars)
    return made


def _latency_bars(kept: Found) -> list[Bar]:
    found = []
    for name, part, key, limits in (
        ("hot", "latency", "hot: decision to next mail, ms", _both(60)),
        ("cold", "latency", "cold: decision to next mail, ms", {"sqlite": 600, "postgresql": 400}),
        ("burst, 30 hot", "burst", "30 hot: decision to next mail, ms", _both(120)),
        ("burst, 6 parking", "burst", "6 parking: decision to next mail, ms", {"sqlite": 1200, "postgresql": 800}),
    ):
        for store in STORES:
            figures = kept.get(part, {}).get(store)
            if figures is not None:
                found.append(Bar(f"{name}, {TITLES[store]}", figures[key]["p50"], figures[key]["p95"], limits[store]))
    return found


# --- the page ------------------------------------------------------------------------------------------------------

NEXT = "decision to next step, ms"
HEAD = """# Measurements

Made by `make bench`; everything on one machine, driver and mail server in processes of their own, shipped defaults.
Measured is what a person feels: from the last byte of his decision to the last byte of the next person's mail.

- machine of the newest part: {cores} cores ({processor}), {memory} GB, {system}, Python {python}; each part names its own
- how far the figures go: they are those of the day, commit and machine each part names. A machine is not equally fast from hour
  to hour, least of all with many processes at once, though a bare loop takes the same time: on 2026-11-29 one tree gave a p95 of
  103 ms for 30 changes in a burst on PostgreSQL, and two hours later, of two bursts instead of four, 337 and 396 ms. What of a
  **missed** goal is the machine's and what the program's stands under "Two trees on one machine". On an Intel Xeon an older tree
  gave on 2026-11-27 hot and cold p95 of 43 and 187 ms on PostgreSQL and switched versions in 0.87 s. What later trees bring
  on PostgreSQL was measured in turn with the one before and stands in decision 0018.
- again: `make bench` (all, about an hour), or a part: `make bench PART=large`, `make bench PART="rounds waiting"`;
  parts are `latency` `burst` `large` `rounds` `waiting` `laws`, each at most ten minutes a store, and `peers`, half an hour;
  `KEEP=1` keeps the figures here. `python -m tests.bench --small` shows in some minutes that all of it runs.
- PostgreSQL is taken from `SHIXIANG_TEST_POSTGRES`; without one those columns stay empty.
- how busy the machine was before a part is kept with its figures: above 1 on two cores, do not trust small differences.
"""
WORDS = {
    "latency": "Hot: the change's leg still lives. Cold: its run has been Suspended for three seconds or more.",
    "burst": "Thirty changes hot and decided at random (8 decisions a second), while six others reach the end of their hot "
    "window together and are decided from 0.05 s before to 0.25 s after it.",
    "large": "One law is amended; 3,600 items of 50 departments cite it. Engine time is the sum over passes, from reading the "
    "decisions to having written and enqueued everything. An adjustment-step is one adjustment decided at one stage; its "
    "time is that of the decision and of the pass. Five human stages: draft, form, legality, list, approval. Last, the same change in "
    "a catalogue of 100,000 items of which 3,600 are concerned: 1.2 is allowed for chance. "
    "Guides are made when somebody opens them; access tasks of connected systems no verb makes yet.",
    "rounds": "An item returned to its drafter 200 times, beside fresh changes, in turn: read the desk, decide, carry on.",
    "waiting": "Fifty changes were started and sleep; their rows were copied in both databases until 10,000 wait.",
    "laws": "Citations, comparison, the library and the impact of one law, on the published laws and on catalogues of growing size.",
    "peers": "Draft, form, legality beside list, approval; 200 cases in each system, each alone on the machine. Peers are "
    "measured in the process of whoever decides, up to the moment the next step waits in the store; ours from outside, "
    "HTTP in, the next person's mail out, its hot window and its sleeping runs included. Of stock Prefect's cases few are decided, "
    "because each decision costs seconds: some one after another, others at once. Legality and list come one "
    "after the other there: a run waits at one place at a time. Nothing is extrapolated. "
    "Programs and pinned versions: `tests/bench/peers`.",
}
NAMES = {
    "latency": "From a decision to the next mail", "burst": "Many at once", "large": "A change over 3,600 items",
    "rounds": "After many rounds", "waiting": "10,000 waiting changes", "laws": "Reading laws", "peers": "Beside its peers",
}  # fmt: skip


def page(kept: Found) -> str:
    """The whole page."""
    machine = kept["machine"]
    lines = [HEAD.format(memory=machine["memory, GB"], **{k: v for k, v in machine.items() if k != "memory, GB"})]
    lines += ["## Goals", "", "| figure | store | measured | goal | |", "|---|---|---|---|---|"]
    lines += [
        f"| {line.name} | {TITLES[line.store]} | {line.value} | {line.goal} | {'reached' if line.reached else '**missed**'} |"
        for line in goals(kept)
    ]
    if "beside" in kept:
        lines += _beside(kept["beside"])
    for part, name in NAMES.items():
        if part not in kept:
            continue
        lines += ["", f"## {name}", "", WORDS[part], ""]
        if part in ("latency", "peers", "large"):
            lines += [f"![{name}](pictures/bench-{part}.svg)", ""]
        lines += _peer_table(kept[part]) if part == "peers" else _table(kept[part])
    return "\n".join(lines) + "\n"


def _beside(rows: Sequence[Found]) -> list[str]:
    """The same measurements of two trees: what is the machine's and what the program's."""
    lines = ["", "## Two trees on one machine", "",
             "`a624650` moves each sheet by itself, `4f6c876` ten at a time (decision 0017). One machine (AMD EPYC, 2 cores), 2026-11-29",
             "22:15 to 2026-11-30 00:35 UTC; it became slower meanwhile. Rows of one letter were measured in turn, in their order, and",
             "tell the trees apart; the others are runs of the bench. Decisions: 102 hot, 102 cold, 240 in four bursts, 120 in the two",
             "bursts of letter b; while letter a was measured, another system stood idle beside it. The version switch and the",
             "adjustment-steps a second are those of a change over 3,600 items, stage by stage.", ""]  # fmt: skip
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return lines + ["| " + " | ".join(_words(row.get(column)) for column in columns) + " |" for row in rows]


def _table(found: Found) -> list[str]:
    stores = [store for store in STORES if store in found]
    lines = ["| figure | " + " | ".join(TITLES[store] for store in stores) + " |", "|---" * (len(stores) + 1) + "|"]
    for name in dict.fromkeys(name for store in stores for name in found[store]):
        values = [found[store].get(name) for store in stores]
        if any(isinstance(value, dict) and any(isinstance(v, dict) for v in value.values()) for value in values):
            for key in dict.fromkeys(key for value in values if value for key in value):
                words = [_words((value or {}).get(key)) for value in values]
                lines.append(f"| {name.removesuffix(', s')}: {key} | " + " | ".join(words) + " |")
        else:
            lines.append(f"| {name} | " + " | ".join(_words(value) for value in values) + " |")
    return lines


def _peer_name(key: str, one: Found) -> str:
    return str(one.get("name", key))


def _peer_table(found: Found) -> list[str]:
    lines = [
        "| system | cases | start, ms | decision to next step, ms | decisions/s | memory, MB | a waiting case, kB |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, one in found.items():
        if not isinstance(one, dict) or "name" not in one:
            continue
        if "failed" in one:
            lines.append(f"| {one['name']} | not measured: {one['failed']} | | | | | |")
            continue
        lines.append(
            f"| {_peer_name(key, one)} ({one['version']}) | {one['cases']} | {_words(one['start, ms'])} | {_words(one[NEXT])} | "
            f"{one['decisions a second']} | {one['memory of the process, MB']} | {one['memory a waiting case, kB']} |"
        )
        asleep = one.get("of these the first of each case, its run suspended, ms")
        if asleep:
            lines.append(f"| of these the first of each case, its run suspended | | | {_words(asleep)} | | | |")
    at = found.get("measured", {})
    return [*lines, "", f"Measured: {_words(at)}."]


def _words(value: Any) -> str:
    if isinstance(value, dict) and "p95" in value:
        return f"p50 {value['p50']:g}, p95 {value['p95']:g}, max {value['max']:g} (n={value['n']})"
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "—" if value is None else str(value)


# --- drawings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A bar: its dark part ends at `typical`, its light part at `high`; a line stands at `goal`."""

    name: str
    typical: float
    high: float
    goal: float | None


LEFT, WIDTH, ROW, TOP = 330, 470, 26, 46


def bars_svg(title: str, bars: Sequence[Bar], *, log: bool = False) -> str:
    """Horizontal bars with their values, readable on light and dark ground."""
    most = max((max(bar.high, bar.goal or 0) for bar in bars), default=1.0) or 1.0
    least = min((bar.typical for bar in bars if bar.typical > 0), default=1.0)

    def x(value: float) -> float:
        if not log:
            return WIDTH * value / most
        floor = math.log10(least / 2)
        return WIDTH * max(0.0, (math.log10(max(value, least / 2)) - floor) / (math.log10(most) - floor))

    height = TOP + ROW * len(bars) + 14
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 110} {height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>',
        f'<rect width="100%" height="{height}" fill="#fff"/>',
        f'<text x="12" y="24" font-weight="bold" fill="#1a1a1a">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        y = TOP + ROW * number
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#1a1a1a">{escape(bar.name)}</text>',
            f'<rect x="{LEFT}" y="{y + 2}" width="{x(bar.high):.1f}" height="16" fill="#a9c6e8"/>',
            f'<rect x="{LEFT}" y="{y + 2}" width="{x(bar.typical):.1f}" height="16" fill="#1f5fa8"/>',
        ]
        if bar.goal is not None:
            at = LEFT + x(bar.goal)
            lines.append(
                f'<line x1="{at:.1f}" y1="{y}" x2="{at:.1f}" y2="{y + 20}" stroke="#b00020" stroke-width="2"/>'
            )
        text = f"{bar.typical:g}" if bar.typical == bar.high else f"{bar.typical:g} / {bar.high:g}"
        end = max(x(bar.high), x(bar.goal) if bar.goal is not None else 0.0)
        lines.append(f'<text x="{LEFT + end + 6:.1f}" y="{y + 14}" fill="#1a1a1a">{text}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    write(json.loads(FILE.read_text(encoding="utf-8")))
