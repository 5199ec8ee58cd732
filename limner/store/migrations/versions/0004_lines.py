"""Several generations in one request, and the price of each picture."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("requests", "generation", new_column_name="lines")
    for table, column, kind in (
        ("requests", "drawn", sa.Integer()),
        ("pictures", "price_micro", sa.BigInteger()),
    ):
        op.add_column(table, sa.Column(column, kind, server_default="0", nullable=False))
    op.execute(
        "UPDATE requests SET drawn = cost_micro * samples / price_micro, lines = "
        """'[{"each_micro": ' || (price_micro / samples) || ', "generation": ' || lines || '}]'"""
    )
    op.execute(
        "UPDATE pictures SET price_micro = (SELECT price_micro / samples FROM requests "
        "WHERE requests.id = pictures.request_id)"
    )
