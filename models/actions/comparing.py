"""Two texts of a law compared: worked out once, kept, and read again until one of the texts is replaced."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from models.domain.errors import Unusable
from models.store import laws
from models.store.database import Database

if TYPE_CHECKING:
    from models.domain.comparison import Comparison
    from models.domain.law_text import Article

_RULES: Final = ("comparison", "law_compare", "change_kinds", "differences", "numerals", "law_text")


def compared(
    connection: Connection,
    *,
    law_id: str,
    old: date,
    new: date,
    texts: tuple[Sequence[Article], Sequence[Article]] | None = None,
) -> Comparison:
    """The comparison of two texts of a law, as it is kept; worked out where it is not. Nothing is written.

    `texts`: the articles of both, where they have been read in this transaction.
    """
    from models.domain.comparison import compare, unpacked

    if texts is None:
        texts = laws.articles(connection, law_id, old), laws.articles(connection, law_id, new)
    mark = laws.comparison_mark(connection, law_id, old, new, _rules())
    rows = laws.kept_comparison(connection, law_id, old, new, mark)
    if rows is not None:
        try:
            return unpacked(rows, *texts)
        except KeyError:
            pass  # a text was replaced between two reads
    return compare(*texts)


def prepare(db: Database, *, law_id: str, old: date, new: date) -> None:
    """Work the comparison out and keep it, unless it is kept already; the working out holds no transaction open.

    Where nothing can be written (a full disk, a home that is only read) nothing is kept, and that is all.
    """
    with db.reader() as connection:
        mark = laws.comparison_mark(connection, law_id, old, new, _rules())
        if not mark or laws.is_kept(connection, law_id, old, new, mark):
            return
        texts = laws.articles(connection, law_id, old), laws.articles(connection, law_id, new)
    from models.domain.comparison import compare, packed

    rows = packed(compare(*texts))

    def keep(connection: Connection) -> None:
        if laws.comparison_mark(connection, law_id, old, new, _rules()) == mark:
            laws.keep_comparison(connection, law_id, old, new, mark, rows)

    with contextlib.suppress(DBAPIError, Unusable):
        db.write(keep)


@lru_cache(maxsize=1)
def _rules() -> str:
    """A mark of the rules that compare: what other rules worked out counts for nothing."""
    folder = Path(__file__).parent.parent / "domain"
    whole = b"".join((folder / f"{name}.py").read_bytes() for name in _RULES)
    return hashlib.sha256(whole).hexdigest()
