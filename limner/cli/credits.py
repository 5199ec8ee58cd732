"""``limner credits``: what the accounts hold, and the proof that the books are right."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import options, terminal
from limner.cli.configured import PLACE, configured
from limner.cli.keys import Named, micro
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.store.audit import Fault
    from limner.store.db import Database

credits_app = typer.Typer(help="Grant, show and check credits.", no_args_is_help=True)


@credits_app.command("grant")
@configured(*PLACE)
def grant(
    key: Named,
    credits: Annotated[str, typer.Argument(help="How many, such as 10 or 0.5.")],
    id: Annotated[
        str | None, typer.Option(help="Your own id of this grant: the same id grants once.")
    ] = None,
    *,
    settings: Settings,
) -> None:
    """Give credits to a key's account."""
    from limner.cli import databases
    from limner.domain.pricing import as_text
    from limner.usecases import administration

    amount = micro("credits", credits)
    with databases.changing(settings, key) as (conn, found):
        balance = administration.grant(conn, found.id, amount, id)
    terminal.say(f"{found.name} has {as_text(balance.available_micro)} credits.")


@credits_app.command("show")
@configured(*PLACE)
def show(
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Show what each key's account holds and what was issued and earned in all."""
    from limner.cli import databases
    from limner.domain.pricing import as_text
    from limner.store import keys, ledger, usage

    with databases.opened(settings) as database, database.read() as conn:
        found, held = keys.listing(conn), usage.held_by_key(conn)
        balances = {key.account_id: ledger.balance(conn, key.account_id) for key in found}
        totals = ledger.totals(conn)
    if as_json:
        accounts = {account: asdict(balance) for account, balance in balances.items()}
        terminal.data({"accounts": accounts, "totals": totals})
        return
    rows = []
    for key in found:
        balance = balances[key.account_id]
        spent_micro = key.spent_micro - held.get(key.id, 0)
        amounts = (balance.available_micro, balance.held_micro, spent_micro)
        rows.append((key.id, key.name, *map(as_text, amounts)))
    terminal.table(("key", "name", "available", "held", "spent"), rows)
    terminal.say("  ".join(f"{name} {as_text(amount)}" for name, amount in totals.items()))


@credits_app.command("check")
@configured(*PLACE)
def check(
    as_json: options.Json = False,
    files: Annotated[
        bool, typer.Option("--files", help="Look at the file of every stored picture too.")
    ] = False,
    *,
    settings: Settings,
) -> None:
    """Prove that everything sums to zero and no hold has lost its owner; status 1 if not."""
    from limner.cli import databases
    from limner.store import audit

    with databases.opened(settings) as database:
        with database.read() as conn:
            faults = audit.check(conn)
        if files:
            faults = [*faults, *_damaged_files(database, settings)]
    if as_json:
        terminal.data([asdict(fault) for fault in faults])
    elif not faults:
        terminal.say("The books are right.")
    else:
        for fault in faults:
            terminal.say(f"{fault.kind}: {fault.subject}: {fault.detail}")
    if faults:
        raise typer.Exit(1)


def _damaged_files(database: Database, settings: Settings) -> list[Fault]:
    from limner.store.audit import Fault
    from limner.store.files import open_files
    from limner.usecases.drawing.pictures import damaged

    files = open_files(settings.pictures_place, database)
    return [Fault("damaged file", picture, why) for picture, why in damaged(database, files)]
