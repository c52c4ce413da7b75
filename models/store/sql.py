"""The one place that takes the SQLAlchemy table out of a model class."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table
from sqlmodel import SQLModel


def table(model: type[SQLModel]) -> Table:
    """The Core table of a `table=True` model."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]
