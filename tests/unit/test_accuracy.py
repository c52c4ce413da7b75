"""What `make accuracy` says of the last recorded run."""

from __future__ import annotations

from tests.accuracy.__main__ import Figure, Figures, against


def figures(**rows: dict[str, bool]) -> dict[str, Figure]:
    found = Figures()
    for name, right in rows.items():
        for row, is_right in right.items():
            found.add(name, 1.0, is_right, row)
    return found


def test_every_row_gained_and_lost_is_named_and_what_is_measured_otherwise() -> None:
    last = {
        "titles": {"of": 3, "wrong": ["C1", "C2"]},
        "pairs": {"of": 1, "wrong": []},
        "links": {"of": 1, "wrong": []},
    }
    now = figures(titles={"C1": True, "C2": False, "C3": False}, pairs={"P1": True, "P2": False}, texts={"T1": True})
    assert against(last, now) == [
        "lost: titles: C3",
        "gained: titles: C1",
        "lost: pairs: P2",
        "counts other rows: pairs, 1 before, 2 now",
        "new: texts, 1/1",
        "no longer measured: links",
    ]


def test_of_a_run_that_found_the_same_nothing_is_said() -> None:
    assert against({"titles": {"of": 2, "wrong": ["C2"]}}, figures(titles={"C1": True, "C2": False})) == []
