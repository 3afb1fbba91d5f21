"""Alembic's entry: runs the migrations on the connection that `ncmix.jobs.migrate` hands over."""

from alembic import context

from ncmix.jobs import service_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=service_tables.Base.metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
