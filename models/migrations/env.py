"""Alembic's environment: the connection is handed in by `models.store.migrate`; there is no alembic.ini."""

from __future__ import annotations

from alembic import context

from models.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
    user_module_prefix="models.tables.base.",
)
with context.begin_transaction():
    context.run_migrations()
