"""``limner usage``: what each key has asked for, and what it cost."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from limner.cli import options, terminal
from limner.cli.configured import PLACE, configured
from limner.errors import InvalidInput
from limner.settings import Settings

DAY_S = 86_400.0


@configured(*PLACE)
def usage(
    days: Annotated[float, typer.Option(help="How far to look back.")] = 30,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Show what each key has asked for and what it cost, most spent first."""
    from limner.cli import databases
    from limner.domain.pricing import as_text
    from limner.store import usage as store
    from limner.store.sql import now

    if not 0 < days <= 36_500:
        raise InvalidInput("days", f"--days is {days:g}; it must be above 0 and at most 36,500.")
    with databases.opened(settings) as database, database.read() as conn:
        found = store.by_key(conn, now(conn) - days * DAY_S)
    if as_json:
        terminal.data([asdict(row) for row in found])
        return
    heads = ("key", "requests", "done", "failed", "cancelled", "pictures", "credits", "last")
    rows = []
    for row in found:
        last = datetime.fromtimestamp(row.last_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        counts = (row.requests, row.completed, row.failed, row.cancelled, row.pictures)
        rows.append((row.name, *counts, as_text(row.cost_micro), last))
    terminal.table(heads, rows)
