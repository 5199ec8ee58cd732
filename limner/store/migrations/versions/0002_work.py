"""Keys, licence acceptances, stored requests, their pictures and sources."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    callers()
    work()


def callers() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=True),
        sa.Column("previous_until", sa.Double(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("spend_cap_micro", sa.BigInteger(), nullable=True),
        sa.Column("spent_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("served_at", sa.Double(), nullable=True),
        sa.CheckConstraint("concurrency > 0", name="ck_keys_concurrency_positive"),
        sa.CheckConstraint("requests_per_minute > 0", name="ck_keys_requests_per_minute_positive"),
        sa.CheckConstraint("spend_cap_micro >= 0", name="ck_keys_cap_not_negative"),
        sa.CheckConstraint("spent_micro >= 0", name="ck_keys_spent_not_negative"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_keys_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
        sa.UniqueConstraint("previous_hash", name="uq_keys_previous_hash"),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    op.create_table(
        "acceptances",
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("licence", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_acceptances_key_id"),
        sa.PrimaryKeyConstraint("key_id", "licence", "version", name="pk_acceptances"),
    )


def work() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("surface", sa.String(length=32), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Text(), nullable=True),
        sa.Column("adjustments", sa.Text(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("asynchronous", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("hold_id", sa.String(length=96), nullable=False),
        sa.Column("price_micro", sa.BigInteger(), nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), nullable=False),
        sa.Column("infer_seconds", sa.Double(), nullable=True),
        sa.Column("error_kind", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("expired_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')",
            name="ck_requests_status",
        ),
        sa.CheckConstraint(
            "cost_micro >= 0 AND cost_micro <= price_micro", name="ck_requests_cost_within_price"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_requests_account_id"),
        sa.ForeignKeyConstraint(
            ["hold_id"],
            ["transfers.id"],
            name="fk_requests_hold_id",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_requests_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.UniqueConstraint("hold_id", name="uq_requests_hold_id"),
        sa.UniqueConstraint("key_id", "idempotency_key", name="uq_requests_key_id_idempotency_key"),
    )
    op.create_index("ix_requests_account_id_created_at", "requests", ["account_id", "created_at"])
    op.create_index("ix_requests_key_id_created_at", "requests", ["key_id", "created_at"])
    op.create_index("ix_requests_status_created_at", "requests", ["status", "created_at"])
    op.create_index("ix_requests_status_finished_at", "requests", ["status", "finished_at"])
    op.create_table(
        "pictures",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("seed", sa.String(length=20), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("rgb_sha256", sa.String(length=64), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_pictures_request_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pictures"),
        sa.UniqueConstraint("file", name="uq_pictures_file"),
        sa.UniqueConstraint("request_id", "index", name="uq_pictures_request_id_index"),
    )
    op.create_index("ix_pictures_created_at", "pictures", ["created_at"])
    op.create_index("ix_pictures_rgb_sha256", "pictures", ["rgb_sha256"])
    op.create_table(
        "sources",
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_sources_request_id"),
        sa.PrimaryKeyConstraint("request_id", "sha256", name="pk_sources"),
    )
    op.create_index("ix_sources_sha256", "sources", ["sha256"])
