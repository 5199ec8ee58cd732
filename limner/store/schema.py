"""The tables, for SQLite and PostgreSQL alike.

Amounts are integer micro-credits; times are seconds since the Unix epoch. The same definitions
are frozen, step by step, in ``migrations/``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from limner.store.sql import JsonText

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Of one transfer, and of all that the accounts of a database hold together: so that no sum of
# balances or of a pocket leaves 64 bits.
AMOUNT_MAX_MICRO = 10**15
TOTAL_MAX_MICRO = 10**18

ISSUED, INCOME = "issued", "income"
CUSTOMER_POCKETS = ("available", "held")

# kind of transfer -> (pocket it leaves, pocket it enters)
POCKETS = {
    "grant": (ISSUED, "available"),
    "withdraw": ("available", ISSUED),
    "hold": ("available", "held"),
    "capture": ("held", INCOME),
    "release": ("held", "available"),
    "expire": ("held", "available"),
}


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


# Customers keep a running balance; system accounts are sums of their entries, so that no row is
# updated by everybody.
accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("available_micro", BigInteger),
    Column("held_micro", BigInteger),
    Column("created_at", Double, nullable=False),
    CheckConstraint(_one_of("kind", ("customer", "system")), name="kind"),
    CheckConstraint("available_micro >= 0", name="available_not_negative"),
    CheckConstraint("held_micro >= 0", name="held_not_negative"),
    # On SQLite triggers of the same names.
    CheckConstraint(f"available_micro <= {TOTAL_MAX_MICRO}", name="available_bounded"),
    CheckConstraint(f"held_micro <= {TOTAL_MAX_MICRO}", name="held_bounded"),
    CheckConstraint(
        "(kind = 'customer') = (available_micro IS NOT NULL)"
        " AND (kind = 'customer') = (held_micro IS NOT NULL)",
        name="only_customers_have_balances",
    ),
)

# A hold's transfer is found by its id again: ``holds`` and ``resolutions`` share it.
transfers = Table(
    "transfers",
    metadata,
    Column("id", String(96), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column(
        "resolves", ForeignKey("resolutions.hold_id", use_alter=True, name="fk_transfers_resolves")
    ),
    Column("created_at", Double, nullable=False),
    CheckConstraint(_one_of("kind", tuple(POCKETS)), name="kind"),
    CheckConstraint("amount_micro > 0", name="amount_positive"),
    CheckConstraint(f"amount_micro <= {AMOUNT_MAX_MICRO}", name="amount_bounded"),
    CheckConstraint(
        "(kind IN ('capture', 'release', 'expire')) = (resolves IS NOT NULL)",
        name="only_resolutions_resolve",
    ),
    UniqueConstraint("resolves", "kind"),
    UniqueConstraint("id", "amount_micro"),
    Index(None, "account_id", "created_at"),
)

# Two sides, each with the amount of their transfer: what leaves is what arrives.
entries = Table(
    "entries",
    metadata,
    Column("transfer_id", String(96), primary_key=True),
    Column("side", Integer, primary_key=True, autoincrement=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("pocket", String(16), nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    CheckConstraint("side IN (-1, 1)", name="side"),
    CheckConstraint(_one_of("pocket", (*CUSTOMER_POCKETS, ISSUED, INCOME)), name="pocket"),
    ForeignKeyConstraint(
        ["transfer_id", "amount_micro"], ["transfers.id", "transfers.amount_micro"]
    ),
    Index(None, "account_id", "pocket"),
)

leases = Table(
    "leases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("process", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("ttl_s", Double),
)

# Only the open ones: resolving deletes the row, so that this table stays small.
holds = Table(
    "holds",
    metadata,
    Column("id", ForeignKey("transfers.id"), primary_key=True),
    Column("lease_id", ForeignKey("leases.id"), index=True),
)

resolutions = Table(
    "resolutions",
    metadata,
    Column("hold_id", ForeignKey("transfers.id"), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    CheckConstraint(_one_of("outcome", ("capture", "release", "expire")), name="outcome"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("hint", String(16), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("previous_hash", String(64), unique=True),
    Column("previous_until", Double),
    Column("scopes", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("spend_cap_micro", BigInteger),
    Column("spent_micro", BigInteger, nullable=False, server_default="0"),
    Column("requests_per_minute", Integer),
    Column("concurrency", Integer),
    Column("served_at", Double),
    # Names and SHA-256s of what it may draw with, and beside that (LoRAs and such); null: all.
    *(Column(name, JsonText) for name in ("models", "adapters")),
    # What its holder has set over AUTOMATIC1111's calls.
    Column("options", JsonText),
    CheckConstraint("spend_cap_micro >= 0", name="cap_not_negative"),
    CheckConstraint("spent_micro >= 0", name="spent_not_negative"),
    CheckConstraint("requests_per_minute > 0", name="requests_per_minute_positive"),
    CheckConstraint("concurrency > 0", name="concurrency_positive"),
)

acceptances = Table(
    "acceptances",
    metadata,
    Column("key_id", ForeignKey("keys.id"), primary_key=True),
    Column("licence", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("accepted_at", Double, nullable=False),
)

STATUSES = ("QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED")

requests = Table(
    "requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key_id", ForeignKey("keys.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("slug", Text, nullable=False),
    Column("surface", String(32), nullable=False),
    Column("idempotency_key", String(255)),
    Column("body_sha256", String(64), nullable=False),
    # [{"generation": ..., "each_micro": price of one picture}]; NULL once it has expired.
    Column("lines", JsonText),
    Column("adjustments", JsonText, nullable=False),
    # The checkpoint it was accepted for; null: any (stored by an earlier version).
    Column("model", Text),
    Column("model_sha256", String(64)),
    # Empty: the model's own VAE; null: as the server has it (stored by an earlier version).
    Column("vae_sha256", String(64)),
    Column("samples", Integer, nullable=False),
    Column("asynchronous", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    # Deferred: of two requests with one idempotency key the second waits before the balance.
    Column(
        "hold_id",
        ForeignKey("transfers.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
        unique=True,
    ),
    Column("price_micro", BigInteger, nullable=False),
    Column("cost_micro", BigInteger, nullable=False),
    # Pictures that were stored and paid for; some may have been deleted since.
    Column("drawn", Integer, nullable=False, server_default="0"),
    Column("infer_seconds", Double),
    Column("error_kind", String(64)),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("turn_at", Double),  # when its turn counts from; null: from created_at
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("expired_at", Double),
    CheckConstraint(_one_of("status", STATUSES), name="status"),
    CheckConstraint("cost_micro >= 0 AND cost_micro <= price_micro", name="cost_within_price"),
    UniqueConstraint("key_id", "idempotency_key"),
    Index(None, "status", "created_at"),
    Index(None, "key_id", "created_at"),
    Index(None, "account_id", "created_at"),
    Index(None, "status", "finished_at"),
)

pictures = Table(
    "pictures",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("request_id", ForeignKey("requests.id"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("seed", String(20), nullable=False),  # in digits: SQL's integers do not hold 64 bits
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("rgb_sha256", String(64), nullable=False, index=True),
    Column("receipt", JsonText, nullable=False),
    Column("file", Text, nullable=False, unique=True),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
    Column("price_micro", BigInteger, nullable=False, server_default="0"),
    # What it is found by (domain/finding.py), the pixels that it was drawn from, and the model.
    Column("words", Text, nullable=False, server_default=""),
    Column("source_sha256", String(64), index=True),
    Column("model_sums", Text, nullable=False, server_default=""),
    Column("starred", Boolean, nullable=False, server_default=false()),
    Column("folder", Text),
    Column("removed_at", Double, index=True),  # out of sight since then, deleted a little later
    UniqueConstraint("request_id", "index"),
)

# The pixels img2img requests start from, by their SHA-256; one file holds all of a request.
sources = Table(
    "sources",
    metadata,
    Column("request_id", ForeignKey("requests.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("file", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "sha256"),
)

# Checkpoints and VAEs by their SHA-256, and when a process that has one last said so.
models = Table(
    "models",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("served_at", Double, nullable=False),
)

# Where the processes of this database keep their files: one folder for all, or one for each.
folders = Table("folders", metadata, Column("path", Text, primary_key=True))

# What the process that draws a request tells, while somebody follows it in another one.
followed = Table(
    "followed",
    metadata,
    Column("request_id", ForeignKey("requests.id"), primary_key=True),
    Column("asked_at", Double, nullable=False),
    Column("notes", JsonText),
)
