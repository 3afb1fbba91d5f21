"""Sweeps: definitions of many experiments, and the cells that tie them to their experiments."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sweep",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("cancelled", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
        sa.UniqueConstraint("key", name=op.f("uq_sweep_key")),
    )
    op.create_index("ix_sweep_created_id", "sweep", ["created", "id"], unique=False)
    op.create_table(
        "sweep_cell",
        sa.Column("sweep_id", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("experiment_id", sa.String(length=20), nullable=True),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("coordinates", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiment.id"],
            name=op.f("fk_sweep_cell_experiment"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["sweep_id"],
            ["sweep.id"],
            name=op.f("fk_sweep_cell_sweep"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", name=op.f("pk_sweep_cell")),
    )
    op.create_index("ix_sweep_cell_experiment_id", "sweep_cell", ["experiment_id"], unique=False)
    op.create_index("ix_sweep_cell_key", "sweep_cell", ["key"], unique=False)


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.drop_table("sweep_cell")
    op.drop_table("sweep")
