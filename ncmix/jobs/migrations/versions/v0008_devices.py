"""How many devices an experiment needs, so that only a slot that has them claims it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is on record needs one."""
    op.add_column("experiment", sa.Column("devices", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.drop_column("experiment", "devices")
