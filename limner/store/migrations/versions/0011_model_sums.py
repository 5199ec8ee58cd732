"""Pictures that are found by the SHA-256 of what drew them, whatever was said over its files."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BATCH = 500
pictures = sa.table("pictures", *map(sa.column, ("id", "receipt", "model_sums")))


def upgrade() -> None:
    op.add_column("pictures", sa.Column("model_sums", sa.Text(), nullable=False, server_default=""))
    conn, last = op.get_bind(), ""
    query = sa.select(pictures.c.id, pictures.c.receipt).order_by(pictures.c.id).limit(BATCH)
    while rows := conn.execute(query.where(pictures.c.id > last)).all():
        for id, receipt in rows:
            found = {"model_sums": _sums(receipt)}
            conn.execute(sa.update(pictures).where(pictures.c.id == id).values(**found))
        last = rows[-1].id


def _sums(receipt: str) -> str:
    read = json.loads(receipt)
    model = read.get("model") if isinstance(read, dict) else None
    sums = [model.get(n) for n in ("sha256", "source_sha256")] if isinstance(model, dict) else []
    return "".join(f"\n{each}" for each in sums if isinstance(each, str))
