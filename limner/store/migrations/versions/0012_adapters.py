"""Which LoRAs, controls and embeddings a key may use."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # JSON of texts; null: all.
    op.add_column("keys", sa.Column("adapters", sa.Text(), nullable=True))
