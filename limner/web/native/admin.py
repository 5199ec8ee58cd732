"""The operator's calls under ``/api/admin``: keys, credits, usage; for the scope ``admin``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.domain.pricing import CREDITS_MAX, as_credits, as_micro
from limner.errors import InvalidInput
from limner.store.keys import LISTS, MODEL_LENGTH_MAX, MODELS_MAX, SCOPES, Key
from limner.store.ledger import Balance
from limner.usecases.administration import NewKey
from limner.web import openapi
from limner.web.answers import Handler, Json
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.reading import body
from limner.web.reading.fields import Flag, Items, Number, Reader, Text, Whole, read, shown

PATH = "/api/admin"
DAYS_MAX = 36_500


class Credits:
    """An amount of credits, as a number or as text of a decimal number; read as micro-credits."""

    def read(self, field: str, value: Any) -> int:
        try:
            micro = as_micro(str(value)) if isinstance(value, str | int | float) else -1
        except ValueError:
            micro = -1
        if isinstance(value, bool) or micro < 0:
            rule = f"it must be 0 to {CREDITS_MAX:,} credits, and 0.000001 at least unless it is 0"
            raise InvalidInput(field, f"{field} is {shown(value)}; {rule}")
        return micro

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": CREDITS_MAX}


class Name(Text):
    """A text that is shown in terminals."""

    def read(self, field: str, value: Any) -> str:
        name = super().read(field, value)
        if not name.isprintable():
            raise InvalidInput(field, f"{field} is {shown(name)}; it must be printable characters")
        return name


class Scopes:
    """A list of scopes, or one text with commas between them."""

    def read(self, field: str, value: Any) -> tuple[str, ...]:
        words = [w.strip() for w in value.split(",")] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(w in SCOPES for w in words):
            rule = f"it must be a list of {', '.join(SCOPES)}"
            raise InvalidInput(field, f"{field} is {shown(value)}; {rule}")
        return tuple(words)

    def schema(self) -> dict[str, Any]:
        word = {"type": "string", "enum": list(SCOPES)}
        return {"type": "array", "items": word, "minItems": 1}


_LIMITS: Mapping[str, Reader] = {
    "spend_cap": Credits(),
    "expires_days": Number(0, DAYS_MAX),
    "requests_per_minute": Whole(1, 10_000_000),
    "concurrency": Whole(1, 1_000_000),
    **dict.fromkeys(LISTS, Items(Text(1, MODEL_LENGTH_MAX), MODELS_MAX)),
}
_NEW: Mapping[str, Reader] = {
    "name": Name(1, 200),
    "credits": Credits(),
    "share_with": Text(1, 100),
    "scopes": Scopes(),
    "accept_license": Flag(),
    **_LIMITS,
}
_ROTATE: Mapping[str, Reader] = {"grace_hours": Number(0, 24 * 365)}
_GRANT: Mapping[str, Reader] = {"key_id": Text(1, 100), "credits": Credits(), "id": Text(1, 64)}
_CHECK: Mapping[str, Reader] = {"check": Flag()}
_DAYS: Mapping[str, Reader] = {"days": Number(0, DAYS_MAX)}


def install(app: Application, api: Api) -> None:
    """Add the routes."""
    _install_keys(app, api)
    _install_credits(app, api)

    async def usage(request: Request) -> Response:
        wishes, _ = read(_DAYS, {}, request.query_params)
        days = wishes.get("days", 30.0)
        rows = [_usage_json(asdict(one)) for one in await api.services.administration.usage(days)]
        return Json({"days": days, "usage": rows})

    answer = {"days": {"type": "number"}, "usage": {"type": "array"}}
    _add(app, "GET", "/usage", usage, "What each key has asked for.", answer, query=_DAYS)


def _install_keys(app: Application, api: Api) -> None:
    admin = api.services.administration

    async def listing(_: Request) -> Response:
        return Json({"keys": [key_json(key, balance) for key, balance in await admin.keys()]})

    async def create(request: Request) -> Response:
        values = await _read(request, api, _NEW, required=("name",))
        plain, key = await admin.create_key(_new_key(values))
        return Json({"key": plain, **key_json(key)})

    async def limit(request: Request) -> Response:
        values = _renamed(await _read(request, api, _LIMITS))
        return Json(key_json(await admin.limit_key(request.path_params["id"], **values)))

    async def rotate(request: Request) -> Response:
        values = await _read(request, api, _ROTATE)
        grace_s = values.get("grace_hours", 0) * 3600
        plain, key = await admin.rotate_key(request.path_params["id"], grace_s)
        return Json({"key": plain, **key_json(key)})

    async def revoke(request: Request) -> Response:
        return Json(key_json(await admin.revoke_key(request.path_params["id"])))

    made = {"key": _TEXT, **KEY}
    _add(app, "GET", "/keys", listing, "Every key, without its secret.", {"keys": _LIST})
    _add(app, "POST", "/keys", create, "Create a key; shown once.", made, body=_NEW)
    one = "/keys/{id}"
    _add(app, "PATCH", one, limit, "Change a key's limits; null lifts one.", KEY, body=_LIMITS)
    _add(app, "DELETE", one, revoke, "Refuse a key from now on.", KEY)
    _add(app, "POST", f"{one}/rotate", rotate, "Give a key a new secret.", made, body=_ROTATE)


def _install_credits(app: Application, api: Api) -> None:
    admin = api.services.administration

    async def show(request: Request) -> Response:
        wishes, _ = read(_CHECK, {}, request.query_params)
        totals = {pocket: as_credits(micro) for pocket, micro in (await admin.totals()).items()}
        faults = [asdict(fault) for fault in await admin.check()] if wishes.get("check") else None
        return Json({"totals": totals, "faults": faults})

    async def grant(request: Request) -> Response:
        values = await _read(request, api, _GRANT, required=("key_id", "credits"))
        balance = await admin.grant(values["key_id"], values["credits"], values.get("id"))
        return Json({"key_id": values["key_id"], **_balance_json(balance)})

    shown = {"totals": {"type": "object"}, "faults": {"type": ["array", "null"]}}
    granted = {"key_id": _TEXT, "available": _NUMBER, "held": _NUMBER}
    _add(app, "GET", "/credits", show, "Credits by pocket; `check` proves the books.", shown,
         query=_CHECK)  # fmt: skip
    _add(app, "POST", "/credits", grant, "Give a key's account credits.", granted, body=_GRANT)


async def _read(
    request: Request, api: Api, readers: Mapping[str, Reader], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The body's fields; a limit that is null is kept, to be lifted. Nothing unknown is allowed."""
    settings = api.settings
    fields = await body.read_object(
        request, max_bytes=settings.body_max_bytes, max_s=settings.body_max_s
    )
    values, ignored = read(readers, {}, fields)
    if unknown := [name for name in fields if name not in readers]:
        allowed = ", ".join(readers)
        raise InvalidInput(unknown[0], f"{shown(unknown[0])} is unknown here; allowed: {allowed}")
    for name in required:
        if name not in values:
            raise InvalidInput(name, f"{name} is missing; needed: {', '.join(required)}")
    assert not ignored
    nulls = {name: None for name in _LIMITS if name in fields and fields[name] is None}
    return values | nulls


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    names = {"spend_cap": "spend_cap_micro", "credits": "credits_micro"}
    return {names.get(name, name): value for name, value in values.items()}


def _new_key(values: dict[str, Any]) -> NewKey:
    accepts = values.pop("accept_license", False)
    return NewKey(**_renamed(values), accept_licence=accepts)


def key_json(key: Key, balance: Balance | None = None) -> dict[str, Any]:
    """A key without its secret, as ``KEY`` describes it."""
    times = {name: _time(getattr(key, name)) for name in _TIMES}
    cap = key.spend_cap_micro
    return {
        "id": key.id,
        "name": key.name,
        "begins": key.hint,
        "account_id": key.account_id,
        "scopes": sorted(key.scopes),
        **times,
        "spend_cap": None if cap is None else as_credits(cap),
        "spent": as_credits(key.spent_micro),
        "requests_per_minute": key.requests_per_minute,
        "concurrency": key.concurrency,
        **{name: list(getattr(key, name)) or None for name in LISTS},
        **({} if balance is None else _balance_json(balance)),
    }


def _balance_json(balance: Balance) -> dict[str, Any]:
    return {
        "available": as_credits(balance.available_micro),
        "held": as_credits(balance.held_micro),
    }


def _usage_json(row: dict[str, Any]) -> dict[str, Any]:
    cost, last = row.pop("cost_micro"), row.pop("last_at")
    return {**row, "cost": as_credits(cost), "last_at": _time(last)}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


_TIMES = ("created_at", "expires_at", "revoked_at")
_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_MAYBE_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_LIST: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
KEY: dict[str, Any] = {
    **dict.fromkeys(("id", "name", "begins", "account_id", "created_at"), _TEXT),
    "scopes": {"type": "array", "items": _TEXT},
    **dict.fromkeys(("expires_at", "revoked_at"), _MAYBE_TEXT),
    "spent": _NUMBER,
    **dict.fromkeys(("spend_cap", "requests_per_minute", "concurrency"), _MAYBE_NUMBER),
    **{name: {"type": ["array", "null"], "items": _TEXT} for name in LISTS},
}


def _add(
    app: Application,
    verb: str,
    path: str,
    handler: Handler,
    summary: str,
    answer: Mapping[str, Any],
    *,
    body: Mapping[str, Reader] | None = None,
    query: Mapping[str, Reader] | None = None,
) -> None:
    named = path.strip("/").replace("/{id}", "-one").replace("/", "-")
    parameters = [openapi.in_path("id", "A key's id.")] if "{id}" in path else []
    parameters += [openapi.in_query(n, n, r.schema()) for n, r in (query or {}).items()]
    extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
    errors: tuple[int, ...] = (400, 401, 403, 404, 500)
    if body is not None:
        fields = {name: reader.schema() for name, reader in body.items()}
        must = [name for name in ("name", "key_id") if name in body]
        must += ["credits"] if "key_id" in body else []
        schema = {"type": "object", "properties": fields, "required": must}
        extra |= openapi.body(schema, form=False)
        errors = (*openapi.BODY_ERRORS, 404, 422)
    operation = openapi.operation(
        f"admin-{verb.lower()}-{named}",
        summary,
        openapi.json_answer("Done.", answer),
        errors=errors,
        **extra,
    )
    app.add_api_route(PATH + path, handler, methods=[verb], **operation)
