"""The curves of an experiment that is over, one row each. What ended before is read from its rows."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "metric_curve",
        sa.Column("experiment_id", sa.String(length=20), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("epochs", sa.LargeBinary(), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiment.id"],
            name=op.f("fk_metric_curve_experiment_id_experiment"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("experiment_id", "split", "name", name=op.f("pk_metric_curve")),
    )
    if op.get_context().dialect.name == "postgresql":
        # Measured numbers do not shrink: to try takes longer than to write them.
        op.execute('ALTER TABLE metric_curve ALTER COLUMN "values" SET STORAGE EXTERNAL')


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.drop_table("metric_curve")
