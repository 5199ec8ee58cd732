"""API keys: ``SG_`` and 32 hex digits, shown once, kept only as a hash."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from limner.domain.pricing import as_text
from limner.errors import InsufficientCredits, InvalidInput, InvalidKey, NotFound
from limner.store import ids, ledger
from limner.store.schema import acceptances, keys
from limner.store.sql import clock, insert_once, now

SCOPES = ("draw", "read", "admin")
DEFAULT_SCOPES = ("draw", "read")
INVALID = "Unauthorized. API key is invalid or may have expired"
LISTS = ("models", "adapters")  # of names
LIMITS = ("expires_at", "spend_cap_micro", "requests_per_minute", "concurrency", *LISTS)
MODELS_MAX, MODEL_LENGTH_MAX = 100, 500
_FORM = re.compile(r"SG_[0-9a-f]{32}")


@dataclass(frozen=True)
class Key:
    """A key without its secret; ``hint`` is its first digits, to tell keys apart in a list.

    ``spend_cap_micro`` bounds what the key may ever spend, ``spent_micro`` counts it (work in
    progress included). None in ``requests_per_minute`` and ``concurrency`` means the server's
    default. ``models``: names and SHA-256s of those it may draw with; empty: all.
    ``adapters``: the same of LoRAs, ControlNets, T2I-Adapters and embeddings.
    """

    id: str
    account_id: str
    name: str
    hint: str
    scopes: frozenset[str]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    spend_cap_micro: int | None
    spent_micro: int
    requests_per_minute: int | None
    concurrency: int | None
    models: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()


def create(
    conn: Connection,
    *,
    name: str,
    credits_micro: int = 0,
    account_id: str | None = None,
    scopes: Iterable[str] = DEFAULT_SCOPES,
    expires_at: float | None = None,
    spend_cap_micro: int | None = None,
    requests_per_minute: int | None = None,
    concurrency: int | None = None,
    models: Sequence[str] | None = None,
    adapters: Sequence[str] | None = None,
) -> tuple[str, Key]:
    """A new key, and the only time its plain text is seen.

    Without ``account_id`` it gets an account of its own; ``credits_micro`` are granted to it.
    """
    plain, key_id = _secret(), ids.new("key")
    account_id = account_id or ledger.create_account(conn, name)
    ledger.balance(conn, account_id)  # a customer's account, or NotFound
    row = {
        "id": key_id,
        "account_id": account_id,
        "name": name,
        "hint": _hint(plain),
        "hash": _hash(plain),
        "scopes": _scopes(scopes),
        "expires_at": expires_at,
        "spend_cap_micro": spend_cap_micro,
        "requests_per_minute": requests_per_minute,
        "concurrency": concurrency,
        "models": _names("models", models),
        "adapters": _names("adapters", adapters),
    }
    conn.execute(insert(keys).values(**row, created_at=clock(conn)))
    if credits_micro:
        ledger.grant(conn, account_id, credits_micro, id=ids.new("given"))
    return plain, get(conn, key_id)


def authenticate(conn: Connection, plain: str) -> Key:
    """The key whose plain text this is. Raises ``InvalidKey``, whatever is wrong with it."""
    if not _FORM.fullmatch(plain):
        raise InvalidKey(INVALID)
    # Looked up by hash: the time it takes tells nothing about how close a guess came.
    digest, moment = _hash(plain), now(conn)
    current = keys.c.hash == digest
    former = (keys.c.previous_hash == digest) & (keys.c.previous_until > moment)
    row = conn.execute(select(keys).where(or_(current, former))).one_or_none()
    if row is None or row.revoked_at is not None:
        raise InvalidKey(INVALID)
    if row.expires_at is not None and row.expires_at <= moment:
        raise InvalidKey(INVALID)
    return _key(row)


def get(conn: Connection, key_id: str) -> Key:
    """A key by its id. Raises ``NotFound``."""
    row = conn.execute(select(keys).where(keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"Key {key_id} not found")
    return _key(row)


def listing(conn: Connection, *, account_id: str | None = None) -> list[Key]:
    """All keys, or those of one account, oldest first; revoked ones included."""
    query = select(keys).order_by(keys.c.created_at, keys.c.id)
    if account_id is not None:
        query = query.where(keys.c.account_id == account_id)
    return [_key(row) for row in conn.execute(query)]


def revoke(conn: Connection, key_id: str) -> Key:
    """Refuse the key from now on; what it has running is finished. Raises ``NotFound``."""
    unrevoked = (keys.c.id == key_id, keys.c.revoked_at.is_(None))
    conn.execute(update(keys).where(*unrevoked).values(revoked_at=clock(conn)))
    return get(conn, key_id)


def rotate(conn: Connection, key_id: str, *, grace_s: float = 0.0) -> tuple[str, Key]:
    """A new secret for the same key; the former one is good for ``grace_s`` seconds more.

    Raises ``NotFound``, and ``InvalidInput`` for a revoked key.
    """
    if get(conn, key_id).revoked_at is not None:
        raise InvalidInput("key", f"Key {key_id} is revoked; create a new one instead.")
    plain = _secret()
    values = {
        "hash": _hash(plain),
        "hint": _hint(plain),
        "previous_hash": keys.c.hash,
        "previous_until": clock(conn) + grace_s,
    }
    conn.execute(update(keys).where(keys.c.id == key_id).values(**values))
    return plain, get(conn, key_id)


def limit(conn: Connection, key_id: str, **limits: Any) -> Key:
    """Change ``LIMITS`` of a key; None lifts one. ``LISTS`` are of names or SHA-256s."""
    if unknown := set(limits) - set(LIMITS):
        raise InvalidInput(min(unknown), f"{min(unknown)} is no limit of a key")
    limits |= {name: _names(name, limits[name]) for name in LISTS if name in limits}
    if limits:
        conn.execute(update(keys).where(keys.c.id == key_id).values(**limits))
    return get(conn, key_id)


def options(conn: Connection, key_id: str) -> dict[str, Any]:
    """What the key's holder has set."""
    return conn.execute(select(keys.c.options).where(keys.c.id == key_id)).scalar() or {}


def set_options(conn: Connection, key_id: str, values: Mapping[str, Any]) -> None:
    """Add to what the key's holder has set; what is None is forgotten."""
    lock(conn, key_id)
    made = {**options(conn, key_id), **values}
    kept = {name: value for name, value in made.items() if value is not None}
    conn.execute(update(keys).where(keys.c.id == key_id).values(options=kept or None))


def lock(conn: Connection, key_id: str) -> None:
    """Let nobody else count against this key until the transaction ends."""
    conn.execute(select(keys.c.id).where(keys.c.id == key_id).with_for_update(key_share=True))


def reserve(conn: Connection, key_id: str, micro: int) -> None:
    """Count ``micro`` against the key's spending cap and lock its row.

    Raises ``InsufficientCredits`` when the cap does not allow it.
    """
    within = or_(
        keys.c.spend_cap_micro.is_(None), keys.c.spent_micro + micro <= keys.c.spend_cap_micro
    )
    change = update(keys).where(keys.c.id == key_id, within)
    if conn.execute(change.values(spent_micro=keys.c.spent_micro + micro)).rowcount == 1:
        return
    raise _beyond_cap(get(conn, key_id), micro)


def check_cap(key: Key, micro: int) -> None:
    """Raises ``InsufficientCredits`` when ``key`` may not spend ``micro`` more, or nothing."""
    if key.spend_cap_micro is not None and key.spent_micro + max(1, micro) > key.spend_cap_micro:
        raise _beyond_cap(key, micro)


def _beyond_cap(key: Key, micro: int) -> InsufficientCredits:
    left = max(0, (key.spend_cap_micro or 0) - key.spent_micro)
    price = f" and the price is {as_text(micro)}" if micro else ""  # 0: it is not known yet
    return InsufficientCredits(
        f"Insufficient credits: this key may spend {as_text(left)} more{price}",
        available_micro=left,
        price_micro=micro,
    )


def give_back(conn: Connection, key_id: str, micro: int) -> None:
    """Take ``micro`` off what the key has spent: it was reserved and not captured."""
    change = update(keys).where(keys.c.id == key_id)
    conn.execute(change.values(spent_micro=keys.c.spent_micro - micro))


def accept_licence(conn: Connection, key_id: str, licence: str, version: str) -> None:
    """Record that the key's holder accepted this version of a licence, and when."""
    row = {"key_id": key_id, "licence": licence, "version": version}
    insert_once(conn, acceptances, {**row, "accepted_at": clock(conn)})


def has_accepted(conn: Connection, key_id: str, licence: str, version: str | None = None) -> bool:
    """Whether the key has accepted the licence (in this version, where one is named)."""
    query = select(acceptances.c.key_id).where(
        acceptances.c.key_id == key_id, acceptances.c.licence == licence
    )
    if version is not None:
        query = query.where(acceptances.c.version == version)
    return conn.execute(query.limit(1)).one_or_none() is not None


def _names(field: str, names: Sequence[str] | None) -> list[str] | None:
    """As they are kept: each once. Raises ``InvalidInput`` for too many, too long or empty ones."""
    chosen = list(dict.fromkeys(names or ()))
    if len(chosen) > MODELS_MAX:
        raise InvalidInput(field, f"{field} has {len(chosen)} entries; at most {MODELS_MAX}")
    for name in chosen:
        if not 0 < len(name) <= MODEL_LENGTH_MAX:
            raise InvalidInput(
                field,
                f"{field} has a name of {len(name)} characters; one has 1 to {MODEL_LENGTH_MAX}",
            )
    return chosen or None


def _secret() -> str:
    return f"SG_{secrets.token_hex(16)}"


def _hint(plain: str) -> str:
    return plain[:7]


def _hash(plain: str) -> str:
    """SHA-256. A slow hash protects guessable passwords; 128 random bits cannot be guessed."""
    return hashlib.sha256(plain.encode()).hexdigest()


def _scopes(scopes: Iterable[str]) -> str:
    chosen = sorted(set(scopes))
    for scope in chosen:
        if scope not in SCOPES:
            raise InvalidInput(
                "scopes", f"scope {scope!r} is unknown; allowed: {', '.join(SCOPES)}"
            )
    if not chosen:
        raise InvalidInput("scopes", f"a key needs a scope; allowed: {', '.join(SCOPES)}")
    return " ".join(chosen)


def _key(row: Row[Any]) -> Key:
    fields = {name: row._mapping[name] for name in Key.__dataclass_fields__}
    lists = {name: tuple(fields[name] or ()) for name in LISTS}
    return Key(**{**fields, "scopes": frozenset(row.scopes.split()), **lists})
