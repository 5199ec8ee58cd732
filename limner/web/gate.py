"""The one place that lets anybody in: route, then key, then scope. What is not public is closed.

The gate stands before the router and looks at every route of the application, mounted files
included, so that a route cannot forget to ask for a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import Forbidden, InvalidKey, NotAllowed, NotFound, Unauthenticated
from limner.settings import Settings
from limner.web.limits import PerMinute
from limner.web.services import Accounts, Caller

MISSING = "Missing Authorization or x-api-key in header"
INVALID = "Unauthorized. API key is invalid or may have expired"
KNOWN_MAX = 10_000

# Everything a stranger may see. A path ending in "/" opens what is below it.
PUBLIC: frozenset[str] = frozenset(
    {"/health/live", "/health/ready", "/docs", "/openapi.json", "/license"}
)
ADMIN_PREFIX = "/api/admin"


class Gate:
    """ASGI layer round the router; ``scope["state"]["caller"]`` is the key that came in."""

    def __init__(
        self, app: ASGIApp, *, router: Router, settings: Settings, accounts: Accounts
    ) -> None:
        self.app = app
        self._router = router
        self._accounts = accounts
        self._wrong = PerMinute(settings.wrong_keys_max_per_minute, "wrong keys from this address")
        self._known: OrderedDict[bytes, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        allowed = _methods(self._router.routes, scope)
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={"Allow": _allow(allowed)})(
                scope, receive, send
            )
            return
        head = scope["method"] == "HEAD" and "GET" in allowed
        if not head and scope["method"] not in allowed:
            raise NotAllowed(f"{scope['path']} answers {_allow(allowed)}", _allow(allowed))
        if not is_public(scope["path"]):
            await self._enter(scope)
        if head:
            scope, send = dict(scope, method="GET"), _without_body(send)
        await self.app(scope, receive, send)

    async def _enter(self, scope: Scope) -> None:
        plain = _key(Headers(scope=scope))
        if not plain:
            raise Unauthenticated(MISSING)
        caller = await self._authenticate(plain, (scope.get("client") or ("unknown",))[0])
        scope["state"]["caller"] = caller
        needed = _scope(scope)
        if needed not in caller.scopes and "admin" not in caller.scopes:
            raise Forbidden(f"This key has no '{needed}' scope; {scope['path']} needs it")

    async def _authenticate(self, plain: str, address: str) -> Caller:
        """The caller; an address that sent too many wrong keys may only use one seen before."""
        digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()
        if digest not in self._known:
            self._wrong.check(address)
        try:
            caller: Caller = await self._accounts.authenticate(plain)
        except InvalidKey as error:
            self._known.pop(digest, None)
            self._wrong.count(address)
            raise InvalidKey(INVALID) from error
        self._known[digest] = None
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return caller


def is_public(path: str) -> bool:
    """Whether a path is on the list of what strangers may see."""
    below = any(entry.endswith("/") and path.startswith(entry) for entry in PUBLIC if entry != "/")
    return path in PUBLIC or below


def _scope(scope: Scope) -> str:
    if scope["path"].startswith(ADMIN_PREFIX):
        return "admin"
    return "read" if scope["method"] in ("GET", "HEAD") else "draw"


def _methods(routes: Iterable[BaseRoute], scope: Scope) -> frozenset[str]:
    """Verbs that work on this path. Raises ``NotFound`` where nothing is."""
    found: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or {"GET"}
    if not found:
        raise NotFound(f"Nothing is served at {scope['path'][:200]}; see /docs")
    return frozenset(found)


def _allow(methods: frozenset[str]) -> str:
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def _key(headers: Headers) -> str:
    """The key of ``x-api-key``, or of ``Authorization``: a bearer's, or Basic's password."""
    if own := headers.get("x-api-key", "").strip():
        return own
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
