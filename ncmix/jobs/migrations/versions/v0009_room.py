"""The index by state and queue also holds what features are expected to take: every submission asks for the sum."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAME = "ix_experiment_state_queue"


def upgrade() -> None:
    """Make the index wider."""
    op.drop_index(_NAME, "experiment")
    op.create_index(_NAME, "experiment", ["state", "queue", "feature_bytes"], unique=False)


def downgrade() -> None:
    """Make it as narrow as it was."""
    op.drop_index(_NAME, "experiment")
    op.create_index(_NAME, "experiment", ["state", "queue"], unique=False)
