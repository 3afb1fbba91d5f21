"""The first schema: experiments, their metrics, features, events and logs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, each after those it refers to."""
    _experiment()
    _event()
    _experiment_tag()
    _feature_set()
    _log_chunk()
    _metric()
    _feature_chunk()
    if op.get_bind().dialect.name == "postgresql":
        # Features do not get smaller by trying: reading and writing them is faster without.
        op.execute("ALTER TABLE feature_chunk ALTER COLUMN data SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Drop everything."""
    for table in ("feature_chunk", "metric", "log_chunk", "feature_set", "experiment_tag", "event", "experiment"):
        op.drop_table(table)


def _experiment() -> None:
    op.create_table(
        "experiment",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("loss", sa.String(length=64), nullable=False),
        sa.Column("mix", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("reason_code", sa.String(length=32), nullable=True),
        sa.Column("reason_message", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("epoch_seconds", sa.Double(), nullable=True),
        sa.Column("latest", sa.JSON(), nullable=False),
        sa.Column("log_bytes", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'cancelling', 'pausing', 'paused', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_experiment_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
        sa.UniqueConstraint("key", "repeat", name=op.f("uq_experiment_key_repeat")),
    )
    op.create_index("ix_experiment_created_id", "experiment", ["created", "id"], unique=False)
    op.create_index(
        "ix_experiment_queued",
        "experiment",
        ["queue", "priority", "created", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_experiment_state_created_id", "experiment", ["state", "created", "id"], unique=False)


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_event_experiment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_experiment_id", "event", ["experiment_id", "id"], unique=False)


def _experiment_tag() -> None:
    op.create_table(
        "experiment_tag",
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_experiment_tag_experiment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "tag", name=op.f("pk_experiment_tag")),
    )
    op.create_index("ix_experiment_tag_tag", "experiment_tag", ["tag", "experiment_id"], unique=False)


def _feature_set() -> None:
    op.create_table(
        "feature_set",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.CheckConstraint("state IN ('writing', 'complete')", name=op.f("ck_feature_set_state")),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_feature_set_experiment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_set")),
        sa.UniqueConstraint("experiment_id", "epoch", "name", name=op.f("uq_feature_set_experiment_id_epoch_name")),
        sqlite_autoincrement=True,
    )


def _log_chunk() -> None:
    op.create_table(
        "log_chunk",
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_log_chunk_experiment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "start", name=op.f("pk_log_chunk")),
    )


def _metric() -> None:
    op.create_table(
        "metric",
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_metric_experiment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "epoch", "split", "name", name=op.f("pk_metric")),
        sqlite_with_rowid=False,
    )


def _feature_chunk() -> None:
    op.create_table(
        "feature_chunk",
        sa.Column("set_id", ROW_ID, nullable=False),
        sa.Column("array", sa.String(length=64), nullable=False),
        sa.Column("first_row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["set_id"], ["feature_set.id"], name=op.f("fk_feature_chunk_feature_set"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("set_id", "array", "first_row", name=op.f("pk_feature_chunk")),
    )
