"""How long a lease was taken for, and bounds of amounts, so that no sum leaves 64 bits."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# name -> (table, column, bound). The commands that grant have always kept the last one.
BOUNDS = {
    "ck_accounts_available_bounded": ("accounts", "available_micro", 10**18),
    "ck_accounts_held_bounded": ("accounts", "held_micro", 10**18),
    "ck_transfers_amount_bounded": ("transfers", "amount_micro", 10**15),
}


def upgrade() -> None:
    op.add_column("leases", sa.Column("ttl_s", sa.Double(), nullable=True))
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name, (table, column, most) in BOUNDS.items():
        if not sqlite:
            op.create_check_constraint(name, table, f"{column} <= {most}")
            continue
        # SQLite adds no constraint to a table that exists; a trigger does the same.
        for verb in ("INSERT", "UPDATE"):
            op.execute(
                f"CREATE TRIGGER {name}_{verb.lower()} BEFORE {verb} ON {table} "
                f"WHEN NEW.{column} > {most} BEGIN SELECT RAISE(ABORT, '{name}'); END"
            )
