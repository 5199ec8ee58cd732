"""The model that a request was accepted for, and when each model was last served."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null for requests of earlier versions: any process may draw these.
    op.add_column("requests", sa.Column("model", sa.Text(), nullable=True))
    op.add_column("requests", sa.Column("model_sha256", sa.String(length=64), nullable=True))
    op.create_table(
        "models",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("served_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_models"),
    )
