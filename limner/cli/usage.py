"""``limner usage``: what each key has asked for, and what it cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from limner.cli import options
from limner.errors import InvalidInput

DAY_S = 86_400.0


def usage(
    days: Annotated[float, typer.Option(help="How far to look back.")] = 30,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """Show what each key has asked for and what it cost, most spent first."""
    from limner.cli import books
    from limner.domain.pricing import as_text
    from limner.store import usage as store
    from limner.store.sql import now

    if not 0 < days <= 36_500:
        raise InvalidInput("days", f"--days is {days:g}; it must be above 0 and at most 36,500.")
    with books.opened(data_dir, database_url) as database, database.read() as conn:
        rows = store.by_key(conn, now(conn) - days * DAY_S)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    heads = ("key", "requests", "done", "failed", "cancelled", "pictures", "credits", "last")
    table = Table(*heads)
    for row in rows:
        last = datetime.fromtimestamp(row.last_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        counts = (row.requests, row.completed, row.failed, row.cancelled, row.pictures)
        table.add_row(row.name, *map(str, counts), as_text(row.cost_micro), last)
    Console().print(table)
