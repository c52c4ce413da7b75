"""What a story may be held to besides what it tells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import inspect, select

from models.domain.audit import differences, replay
from models.store.audit import log_lines, standing_rows
from models.store.change import CHANGE
from models.store.database import Database


@pytest.fixture
def the_log_replays(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the story the log alone gives the state of every change, and tells of no step that a state does not allow.

    Not for one that writes past the verbs (mark it `by_hand`).
    """
    db: Database = request.getfixturevalue("db")
    yield
    if request.node.get_closest_marker("by_hand") or not inspect(db.engine).has_table("change"):
        return
    with db.reader() as connection:
        for change_id in connection.execute(select(CHANGE.c.id)).scalars().all():
            found = replay(log_lines(connection, change_id))
            assert found.whole
            assert found.jumps == []
            assert list(differences(found, standing_rows(connection, change_id))) == []
