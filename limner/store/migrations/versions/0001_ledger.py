"""The ledger's tables, and the triggers that keep its history as it was written."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Transfers and resolutions point at each other: SQLite wants the second pointer written before
# its target exists, PostgreSQL afterwards.
RESOLVES = "fk_transfers_resolves"
IMMUTABLE = ("transfers", "entries", "resolutions")


def upgrade() -> None:
    tables()
    if op.get_bind().dialect.name == "sqlite":
        forbid_on_sqlite()
    else:
        forbid_on_postgresql()
    for account in ("issued", "income"):
        op.execute(
            "INSERT INTO accounts (id, name, kind, created_at) "
            f"VALUES ('{account}', '{account}', 'system', 0)"
        )


def tables() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("available_micro", sa.BigInteger(), nullable=True),
        sa.Column("held_micro", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'customer') = (available_micro IS NOT NULL)"
            " AND (kind = 'customer') = (held_micro IS NOT NULL)",
            name="ck_accounts_only_customers_have_balances",
        ),
        sa.CheckConstraint("kind IN ('customer', 'system')", name="ck_accounts_kind"),
        sa.CheckConstraint("available_micro >= 0", name="ck_accounts_available_not_negative"),
        sa.CheckConstraint("held_micro >= 0", name="ck_accounts_held_not_negative"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("resolves", sa.String(length=96), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('capture', 'release', 'expire')) = (resolves IS NOT NULL)",
            name="ck_transfers_only_resolutions_resolve",
        ),
        sa.CheckConstraint(
            "kind IN ('grant', 'withdraw', 'hold', 'capture', 'release', 'expire')",
            name="ck_transfers_kind",
        ),
        sa.CheckConstraint("amount_micro > 0", name="ck_transfers_amount_positive"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_transfers_account_id"),
        *(
            [sa.ForeignKeyConstraint(["resolves"], ["resolutions.hold_id"], name=RESOLVES)]
            if sqlite
            else []
        ),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.UniqueConstraint("id", "amount_micro", name="uq_transfers_id_amount_micro"),
        sa.UniqueConstraint("resolves", "kind", name="uq_transfers_resolves_kind"),
    )
    op.create_index("ix_transfers_account_id_created_at", "transfers", ["account_id", "created_at"])
    op.create_table(
        "resolutions",
        sa.Column("hold_id", sa.String(length=96), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('capture', 'release', 'expire')", name="ck_resolutions_outcome"
        ),
        sa.ForeignKeyConstraint(["hold_id"], ["transfers.id"], name="fk_resolutions_hold_id"),
        sa.PrimaryKeyConstraint("hold_id", name="pk_resolutions"),
    )
    op.create_table(
        "entries",
        sa.Column("transfer_id", sa.String(length=96), nullable=False),
        sa.Column("side", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("pocket", sa.String(length=16), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "pocket IN ('available', 'held', 'issued', 'income')", name="ck_entries_pocket"
        ),
        sa.CheckConstraint("side IN (-1, 1)", name="ck_entries_side"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_entries_account_id"),
        sa.ForeignKeyConstraint(
            ["transfer_id", "amount_micro"],
            ["transfers.id", "transfers.amount_micro"],
            name="fk_entries_transfer_id_amount_micro",
        ),
        sa.PrimaryKeyConstraint("transfer_id", "side", name="pk_entries"),
    )
    op.create_index("ix_entries_account_id_pocket", "entries", ["account_id", "pocket"])
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=96), nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["transfers.id"], name="fk_holds_id"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_holds_lease_id"),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
    op.create_index("ix_holds_lease_id", "holds", ["lease_id"])
    if not sqlite:
        op.create_foreign_key(RESOLVES, "transfers", "resolutions", ["resolves"], ["hold_id"])


def forbid_on_sqlite() -> None:
    for table in IMMUTABLE:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are immutable'); END"
            )


def forbid_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION limner_immutable() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are immutable', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION limner_immutable()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION limner_immutable()"
        )
