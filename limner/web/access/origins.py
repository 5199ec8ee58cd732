"""Where a call comes from, as far as it can be told: the key it brings, this machine, a web page.

A program on this machine says nothing of proxies and calls it by its own name. A proxy that hides
itself entirely cannot be told from one: such a machine must leave ``open_sdapi`` and
``metrics_open`` alone.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

PROXY_HEADERS = ("forwarded", "via", "true-client-ip", "client-ip", "cdn-loop")
PROXY_PREFIXES = ("x-forwarded", "x-real-", "x-client-", "x-original-", "x-envoy-", "cf-")
# What a page may send anywhere without asking first, and with it a password the browser keeps.
SIMPLE_TYPES = ("", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded")


def key_of(headers: Headers) -> str:
    """The key of ``x-api-key``, or of ``Authorization``: a bearer's, or Basic's password."""
    if own := headers.get("x-api-key", "").strip():
        return own
    kind, _, value = headers.get("authorization", "").strip().partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    return _password(value.strip()) if kind.lower() == "basic" else ""


def _password(value: str) -> str:
    """Of a Basic value, whatever the user's name and its charset; padding may be missing."""
    try:
        bare = value.rstrip("=")
        plain = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        return plain.partition(b":")[2].decode()
    except (binascii.Error, ValueError):
        return ""


def is_slipped_in(scope: Scope) -> bool:
    """Whether a page of another site may have sent this with a password the browser keeps.

    Only Basic passwords are kept. A body in JSON is no danger: the browser asks first, and is not
    told that it may send a kept password.
    """
    headers = Headers(scope=scope)
    kept = headers.get("authorization", "").strip()[:6].lower() == "basic "
    if not kept or "x-api-key" in headers:
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    safe = scope["method"] in ("GET", "HEAD") or kind not in SIMPLE_TYPES
    return not safe and is_of_another_site(headers)


def is_of_another_site(headers: Headers) -> bool:
    """Whether a browser says so; programs that are no browser say nothing."""
    if site := headers.get("sec-fetch-site"):
        return site.strip().lower() not in ("same-origin", "none")
    host = headers.get("host", "").lower()
    return any(_host(origin) != host for origin in headers.getlist("origin"))


def is_direct(scope: Scope) -> bool:
    """Whether a program of this machine calls, and no proxy or page of another site for others."""
    names = [name.decode("latin-1") for name, _ in scope["headers"]]
    proxied = any(name in PROXY_HEADERS or name.startswith(PROXY_PREFIXES) for name in names)
    headers = Headers(scope=scope)
    urls = [f"http://{headers.get('host', '')}", *headers.getlist("origin")]
    foreign = headers.get("sec-fetch-site", "none").strip().lower() == "cross-site"
    own = all(_is_own_name(url) for url in urls) and not foreign
    old = scope.get("http_version") == "1.0"  # as nginx speaks unless told otherwise
    return own and not proxied and not old and is_loopback((scope.get("client") or ("",))[0])


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_own_name(url: str) -> bool:
    """Whether a URL's host, with nothing but a port beside it, names this machine for itself."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return "@" not in parts.netloc and (host == "localhost" or is_loopback(host))


def _host(origin: str) -> str:
    return origin.lower().partition("://")[2]
