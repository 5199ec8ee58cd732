"""The one place that lets anybody in: route, then key, then scope. What is not public is closed.

It stands before the router and looks at every route of the application, mounted files
included, so that a route cannot forget to ask for a key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import nullcontext, suppress

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import (
    Forbidden,
    InvalidKey,
    LimnerError,
    NotAllowed,
    NotFound,
    Unauthenticated,
)
from limner.settings import Settings
from limner.web.access import origins
from limner.web.access.limits import AtOnce, PerMinute
from limner.web.services import Accounts, Caller

MISSING = "Missing Authorization or x-api-key in header"
INVALID = "Unauthorized. API key is invalid or may have expired"
SLIPPED = (
    "A page of another site may have sent this with a password that the browser keeps; send the "
    "key as x-api-key, or the body as application/json"
)
KNOWN_MAX = 10_000
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Everything a stranger may see. A path ending in "/" opens what is below it.
PUBLIC: frozenset[str] = frozenset(
    {"/", "/static/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/license"}
)
# Of these, what answers in more words where a good key comes with the call.
RECOGNISED = frozenset({"/license"})
ADMIN_PREFIX = "/api/admin/"
METRICS = "/metrics"
SDAPI_PREFIXES = ("/sdapi/", "/controlnet/")
# They are posted, because a prompt is long, but draw, spend and change nothing.
ONLY_ASKS = frozenset(
    {"/api/quote", "/api/explain", "/api/preprocess", "/api/styles/preview", "/sdapi/v1/png-info",
     "/controlnet/detect"}
)  # fmt: skip


class Authentication:
    """ASGI layer round the router; ``scope["state"]["caller"]`` is the key that came in, if any."""

    def __init__(
        self, app: ASGIApp, *, router: Router, settings: Settings, accounts: Accounts
    ) -> None:
        self.app = app
        self._router = router
        self._accounts = accounts
        self._metrics_open = settings.metrics_open
        self._open_sdapi = settings.open_sdapi
        self._wrong = PerMinute(settings.wrong_keys_max_per_minute, "wrong keys from this address")
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._at_once = AtOnce(settings.connections_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        method = scope["method"]
        head = method == "HEAD"
        route = self._find(scope, "GET" if head else method)
        if route is None:
            allow = self._allow(scope)
            if method == "OPTIONS":
                await Response(status_code=204, headers={"Allow": allow})(scope, receive, send)
                return
            raise NotAllowed(f"{scope['path'][:200]} answers {allow}", allow)
        scope["state"]["route"] = route
        public = is_public(scope["path"]) or self._is_open(scope)
        if not public:
            await self._enter(scope)
        elif scope["path"] in RECOGNISED:
            with suppress(LimnerError):  # a bad key, or an absent database, hinders nobody
                await self._enter(scope)
        if head:
            scope, send = dict(scope, method="GET"), _without_body(send)
        # Strangers, who may not read their answer, take no place among the calls of keys.
        with nullcontext() if public else self._at_once.one(scope["state"]["caller"].id):
            await self.app(scope, receive, send)

    def _find(self, scope: Scope, method: str) -> BaseRoute | None:
        asked = {**scope, "method": method}
        found = (route for route in self._router.routes if route.matches(asked)[0] is Match.FULL)
        return next(found, None)

    def _is_open(self, scope: Scope) -> bool:
        """``/metrics``, where it is set open to this machine; not for what a proxy hands on."""
        if not self._metrics_open or scope["path"] != METRICS:
            return False
        return origins.is_direct(scope)

    def _is_local(self, scope: Scope) -> bool:
        """AUTOMATIC1111's surface, where it is set open to programs of this machine."""
        if not self._open_sdapi or not scope["path"].startswith(SDAPI_PREFIXES):
            return False
        return origins.is_direct(scope)

    def _allow(self, scope: Scope) -> str:
        """Verbs that work on this path. Raises ``NotFound`` where none does."""
        found = {method for method in VERBS if self._find(scope, method) is not None}
        if not found:
            raise NotFound(f"Nothing is served at {scope['path'][:200]}; see /docs")
        return ", ".join(sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())))

    async def _enter(self, scope: Scope) -> None:
        plain = origins.key_of(Headers(scope=scope))
        if plain and origins.is_slipped_in(scope):
            raise Forbidden(SLIPPED)
        if plain:
            caller = await self._authenticate(plain, (scope.get("client") or ("unknown",))[0])
        elif self._is_local(scope):
            caller = await self._accounts.local()
        else:
            raise Unauthenticated(MISSING)
        scope["state"]["caller"] = caller
        needed = scope_of(scope["method"], getattr(scope["state"]["route"], "path", ""))
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


def scope_of(method: str, route: str) -> str:
    """The scope a key needs for a route, by its path as registered; ``admin`` has them all."""
    if route.startswith(ADMIN_PREFIX) or route == METRICS:
        return "admin"
    return "read" if method in ("GET", "HEAD") or route in ONLY_ASKS else "draw"


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
