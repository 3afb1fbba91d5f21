"""Features outside of the database, digests of their chunks, and how much room each experiment is expected to need."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. What was written before has no digests of its chunks."""
    op.add_column("experiment", sa.Column("feature_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("feature_set", sa.Column("folder", sa.String(length=64), nullable=True))
    op.add_column("feature_chunk", sa.Column("sha256", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.drop_column("feature_chunk", "sha256")
    op.drop_column("feature_set", "folder")
    op.drop_column("experiment", "feature_bytes")
