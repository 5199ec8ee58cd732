"""The VAE that a request was accepted for, which models a key may use, and what it has set."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Empty: the model's own. Null for requests of earlier versions: as the server has it.
    op.add_column("requests", sa.Column("vae_sha256", sa.String(length=64), nullable=True))
    # JSON of texts; null: all models.
    op.add_column("keys", sa.Column("models", sa.Text(), nullable=True))
    # JSON of an object; null: nothing set.
    op.add_column("keys", sa.Column("options", sa.Text(), nullable=True))
