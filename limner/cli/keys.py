"""``limner keys``: who may draw."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import options, terminal
from limner.cli.configured import PLACE, configured
from limner.errors import InvalidInput
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.store.keys import Key

keys_app = typer.Typer(help="Create, list, limit, rotate and revoke keys.", no_args_is_help=True)

DAY_S = 86_400
DAYS_MAX = 36_500
HOURS_MAX = 24 * 365
NUMBER_MAX = 1_000_000
NAME_LENGTH_MAX = 200
LIMITS = {
    "spend_cap_micro": "--spend-cap",
    "expires_at": "--expires-days",
    "requests_per_minute": "--requests-per-minute",
    "concurrency": "--concurrency",
    "models": "--models",
    "adapters": "--adapters",
}
ALL = "all"
Named = Annotated[str, typer.Argument(metavar="KEY", help="A key's id, name or beginning.")]
Scopes = Annotated[str, typer.Option(help="Of draw, read, admin; separated by commas.")]
Cap = Annotated[str | None, typer.Option(help="Credits the key may ever spend.")]
Days = Annotated[float | None, typer.Option(help="Days until the key expires.")]
Rate = Annotated[int | None, typer.Option(help="Requests in a minute.")]
Concurrency = Annotated[int | None, typer.Option(help="Requests at the same time.")]

ModelNames = Annotated[
    str | None,
    typer.Option(help="Names or SHA-256s of the models it may use, by commas; all lifts it."),
]
AdapterNames = Annotated[
    str | None,
    typer.Option(help="The same of LoRAs, embeddings, ControlNets and T2I-Adapters."),
]


@keys_app.command("create")
@configured(*PLACE)
def create(
    name: Annotated[str, typer.Option(help="What to call it.")],
    credits: Annotated[str, typer.Option(help="Credits to grant, such as 10 or 0.5.")] = "0",
    accept_license: Annotated[
        bool, typer.Option(help="Its holder accepts the CreativeML Open RAIL-M.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(help="Share the account of this key in place of a new one.")
    ] = None,
    scopes: Scopes = "draw,read",
    spend_cap: Cap = None,
    expires_days: Days = None,
    requests_per_minute: Rate = None,
    concurrency: Concurrency = None,
    models: ModelNames = None,
    adapters: AdapterNames = None,
    *,
    settings: Settings,
) -> None:
    """Create a key and print it, alone, on standard output; it is never shown again."""
    from limner.cli import databases
    from limner.domain.licences import RAIL_M
    from limner.store import keys

    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        rule = f"1 to {NAME_LENGTH_MAX} printable characters"
        raise InvalidInput("name", f"--name is {name!a}; it must be {rule}.")
    granted = micro("credits", credits)
    lists = {"models": models, "adapters": adapters}
    limits = _limits(spend_cap, expires_days, requests_per_minute, concurrency) | _lists(lists)
    with databases.opened(settings) as database:
        account_id = databases.find(database, account).account_id if account else None
        with database.begin() as conn:
            plain, key = keys.create(
                conn,
                name=name,
                credits_micro=granted,
                account_id=account_id,
                scopes=[scope.strip() for scope in scopes.split(",") if scope.strip()],
                **limits,
            )
            if accept_license:
                keys.accept_licence(conn, key.id, RAIL_M.id, RAIL_M.version)
    terminal.say(plain)


@keys_app.command("list")
@configured(*PLACE)
def list_keys(
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """List the keys, without their secrets."""
    from limner.cli import databases
    from limner.domain.pricing import as_text
    from limner.store import keys, ledger

    with databases.opened(settings) as database, database.read() as conn:
        found = keys.listing(conn)
        left = {key.id: ledger.balance(conn, key.account_id).available_micro for key in found}
    if as_json:
        terminal.data([_plain(key) | {"available_micro": left[key.id]} for key in found])
        return
    rows = [
        (k.id, k.name, k.hint, ",".join(sorted(k.scopes)), as_text(left[k.id]), _state(k))
        for k in found
    ]
    terminal.table(("id", "name", "begins", "scopes", "credits", "state"), rows)


@keys_app.command("revoke")
@configured(*PLACE)
def revoke(key: Named, *, settings: Settings) -> None:
    """Refuse a key from now on."""
    from limner.cli import databases
    from limner.store import keys

    with databases.changing(settings, key) as (conn, found):
        keys.revoke(conn, found.id)
    terminal.say(f"{found.id} ({found.name}) is revoked.")


@keys_app.command("rotate")
@configured(*PLACE)
def rotate(
    key: Named,
    grace_hours: Annotated[float, typer.Option(help="How long the former one still works.")] = 0,
    *,
    settings: Settings,
) -> None:
    """Give a key a new secret and print it, alone, on standard output."""
    from limner.cli import databases
    from limner.store import keys

    if not 0 <= grace_hours <= HOURS_MAX:
        raise InvalidInput(
            "grace-hours", f"--grace-hours is {grace_hours}; it must be 0 to {HOURS_MAX:,}."
        )
    with databases.changing(settings, key) as (conn, found):
        plain, _ = keys.rotate(conn, found.id, grace_s=grace_hours * 3600)
    terminal.say(plain)


@keys_app.command("limit")
@configured(*PLACE)
def limit(
    key: Named,
    spend_cap: Cap = None,
    expires_days: Days = None,
    requests_per_minute: Rate = None,
    concurrency: Concurrency = None,
    models: ModelNames = None,
    adapters: AdapterNames = None,
    *,
    settings: Settings,
) -> None:
    """Change a key's limits; those not named stay."""
    from limner.cli import databases
    from limner.store import keys

    lists = {"models": models, "adapters": adapters}
    limits = _limits(spend_cap, expires_days, requests_per_minute, concurrency) | _lists(lists)
    with databases.changing(settings, key) as (conn, found):
        keys.limit(conn, found.id, **limits)
    told = ", ".join(LIMITS[name] for name in limits) or "nothing"
    terminal.say(f"{found.id} ({found.name}): {told} changed.")


def micro(option: str, credits: str) -> int:
    """Micro-credits of an amount as typed; raises ``InvalidInput`` naming the option."""
    from limner.domain.pricing import as_micro

    try:
        amount = as_micro(credits)
    except ValueError as error:
        raise InvalidInput(option, f"--{option}: {error}.") from error
    if amount < 0:
        raise InvalidInput(option, f"--{option} is {credits}; it must not be below 0.")
    return amount


def _limits(
    spend_cap: str | None,
    expires_days: float | None,
    rate: int | None,
    concurrency: int | None,
) -> dict[str, Any]:
    for option, value, most in (
        ("expires-days", expires_days, DAYS_MAX),
        ("requests-per-minute", rate, NUMBER_MAX),
        ("concurrency", concurrency, NUMBER_MAX),
    ):
        if value is not None and not 0 < value <= most:
            raise InvalidInput(
                option, f"--{option} is {value}; it must be above 0 and at most {most:,}."
            )
    limits = {
        "spend_cap_micro": None if spend_cap is None else micro("spend-cap", spend_cap),
        "expires_at": None if expires_days is None else time.time() + expires_days * DAY_S,
        "requests_per_minute": rate,
        "concurrency": concurrency,
    }
    return {name: value for name, value in limits.items() if value is not None}


def _lists(given: dict[str, str | None]) -> dict[str, list[str]]:
    return {name: _names(name, text) for name, text in given.items() if text is not None}


def _names(option: str, text: str) -> list[str]:
    """The names in an option's text; none where the key may use all."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidInput(option, f"--{option} is {text!r}; name {option}, or say all.")
    return [] if names == [ALL] else names


def _plain(key: Key) -> dict[str, Any]:
    return asdict(key) | {"scopes": sorted(key.scopes), "state": _state(key)}


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "good"
    until = datetime.fromtimestamp(key.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return ("expired " if key.expires_at <= time.time() else "good until ") + until
