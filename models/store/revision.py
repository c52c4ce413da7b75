"""Which schema this program knows, told without the database library: reading commands ask before they answer."""

from __future__ import annotations

from pathlib import Path

from models.domain.errors import Unusable

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def head() -> str:
    """The newest revision: revisions are numbered, and a file's name begins with its revision."""
    return max(path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def refuse_newer(revision: str | None) -> None:
    """Raises `Unusable schema_newer` where a newer program wrote the data: what it means by it we cannot know."""
    if revision is not None and revision > (ours := head()):
        raise Unusable(
            "schema_newer",
            f"数据由更新的程序写成（数据版本 {revision}，程序版本 {ours}），未作任何改动。请升级程序后再试。",
            data=revision,
            program=ours,
        )
