"""Runs the migrations of the current application's database; called by `bustapi db`."""

from __future__ import annotations

from alembic import context

from bustapi import current_app

migrate = current_app.extensions["migrate"]
options = {"target_metadata": migrate.db.metadata, **migrate.configure_args}

if context.is_offline_mode():
    context.configure(url=str(migrate.db.engine.url), literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    with migrate.db.engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
