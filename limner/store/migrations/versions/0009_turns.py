"""Requests that wait change places: a turn that is not the moment of acceptance."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null: as it was accepted.
    op.add_column("requests", sa.Column("turn_at", sa.Double(), nullable=True))
