"""Pictures that are searched, starred, put into folders, and removed with a while to undo it."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BATCH = 500
pictures = sa.table(
    "pictures", *map(sa.column, ("id", "receipt", "words", "source_sha256", "starred"))
)


def upgrade() -> None:
    for column in (
        sa.Column("words", sa.Text(), nullable=False, server_default=""),
        sa.Column("source_sha256", sa.String(length=64), nullable=True),
        sa.Column("starred", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("removed_at", sa.Double(), nullable=True),
    ):
        op.add_column("pictures", column)
    for name in ("source_sha256", "removed_at"):
        op.create_index(f"ix_pictures_{name}", "pictures", [name])
    _read_receipts()


def _read_receipts() -> None:
    conn, last = op.get_bind(), ""
    query = sa.select(pictures.c.id, pictures.c.receipt).order_by(pictures.c.id).limit(BATCH)
    while rows := conn.execute(query.where(pictures.c.id > last)).all():
        for id, receipt in rows:
            read = json.loads(receipt)
            record = read if isinstance(read, dict) else {}
            parameters = record.get("parameters") or {}
            found = {
                "words": _words(record),
                "source_sha256": (parameters.get("source") or {}).get("sha256"),
            }
            conn.execute(sa.update(pictures).where(pictures.c.id == id).values(**found))
        last = rows[-1].id


def _words(record: dict[str, Any]) -> str:
    parameters = record.get("parameters") or {}
    origin = parameters.get("origin") or {}
    texts = [
        (record.get("prompts") or {}).get("positive"),
        origin.get("prompt"),
        (record.get("model") or {}).get("name"),
        *(lora.get("name") for lora in parameters.get("loras") or ()),
    ]
    folded = [" ".join(text.casefold().split()) for text in texts if text]
    styles = [each["name"] for kind in (origin.get("picks") or {}).values() for each in kind]
    return "\n".join(dict.fromkeys(folded)) + "".join(
        f"\nstyle:{' '.join(name.casefold().split())}\n" for name in styles
    )
