"""What a worker says of its GPU's memory, and an index that counts experiments by state and queue."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("experiment", sa.Column("gpu_bytes", sa.BigInteger(), nullable=True))
    op.create_index("ix_experiment_state_queue", "experiment", ["state", "queue"], unique=False)


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.drop_index("ix_experiment_state_queue", "experiment")
    op.drop_column("experiment", "gpu_bytes")
