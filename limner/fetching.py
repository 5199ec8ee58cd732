"""Pictures behind a URL, fetched so that a caller cannot reach what only this machine can.

Only http and https; the host is resolved once and the connection goes to that address, so that a
second answer of the name server cannot swap it; private, loopback, link-local and metadata
addresses are refused unless a setting allows them; every redirect is checked anew; size and time
are bounded; what comes back must begin like a picture.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from limner import resolving
from limner.errors import InvalidInput, Unavailable

REDIRECTS_MAX = 3
URL_LENGTH_MAX = 4096
OPEN_MAX = 32
SCHEMES = ("http", "https")
PORT_MAX = 65_535

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Global to Python, though they lead to IPv4 or to the site's own network: IPv4-compatible and
# IPv4-translated addresses, NAT64 of the network's own prefix, site-local addresses.
_LOCAL = [
    ipaddress.IPv6Network(n) for n in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")
]
_open = 0

_SCHEME = re.compile(r"\s{0,16}[a-z][a-z0-9+.-]{0,15}://", re.IGNORECASE)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Limits:
    """What a fetch may do; ``private`` allows addresses that are not public."""

    max_bytes: int
    max_s: float
    private: bool = False


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as a web address rather than as base64."""
    return _SCHEME.match(text) is not None


async def fetch(url: str, field: str, limits: Limits) -> bytes:
    """The picture file at ``url``; ``field`` is named in errors.

    Raises ``InvalidInput`` when it may not or cannot be fetched, or is no picture, and
    ``LimitExceeded`` or ``Unavailable`` when its key, or this process, fetches too much already.
    """
    with _counted():
        try:
            async with asyncio.timeout(limits.max_s):
                data = await _follow(url.strip(), field, limits)
        except TimeoutError as error:
            raise InvalidInput(
                field, f"{field}: the URL did not give its picture within {limits.max_s:g} seconds"
            ) from error
    if not looks_like_a_picture(data):
        raise InvalidInput(
            field,
            f"{field}: what the URL gives is no picture; it must be PNG, JPEG, WebP, GIF or BMP",
        )
    return data


def looks_like_a_picture(data: bytes) -> bool:
    """Whether a file begins as PNG, JPEG, WebP, GIF or BMP do, whatever it calls itself."""
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    bmp = data[:2] == b"BM" and data[15:18] == bytes(3)  # of the length of what comes next
    return (
        webp
        or bmp
        or data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
    )


def is_public(address: Address) -> bool:
    """Whether an address, and an IPv4 one inside it, belongs to the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if any(address in network for network in _LOCAL):
            return False
    return address.is_global and not address.is_multicast


async def _follow(url: str, field: str, limits: Limits) -> bytes:
    for _ in range(REDIRECTS_MAX + 1):
        answer = await _get(_parsed(url, field), field, limits)
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise InvalidInput(field, f"{field}: the URL is redirected more than {REDIRECTS_MAX} times")


def _parsed(url: str, field: str) -> httpx.URL:
    if len(url) > URL_LENGTH_MAX:
        raise InvalidInput(field, f"{field}: the URL is longer than {URL_LENGTH_MAX} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidInput(field, f"{field}: the URL cannot be read: {error}") from error
    if parsed.scheme not in SCHEMES or not parsed.raw_host:
        raise InvalidInput(field, f"{field}: only http and https URLs with a host are fetched")
    if parsed.port is not None and not 0 < parsed.port <= PORT_MAX:
        raise InvalidInput(
            field, f"{field}: the URL's port is {parsed.port}; it must be 1 to {PORT_MAX}"
        )
    if parsed.userinfo:
        raise InvalidInput(field, f"{field}: a URL with a name or password in it is not fetched")
    return parsed


async def _get(url: httpx.URL, field: str, limits: Limits) -> bytes | str:
    """The body, or the address a redirect leads to."""
    host = url.raw_host.decode("ascii")
    address = await _resolve(host, url.port or (443 if url.scheme == "https" else 80), field)
    if not (limits.private or is_public(address)):
        raise InvalidInput(
            field, f"{field}: {host} is not a public address; this server fetches from no other"
        )
    pinned = url.copy_with(host=str(address))
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "User-Agent": "limner",
    }
    try:
        async with (
            httpx.AsyncClient(trust_env=False, verify=_trusted(), timeout=limits.max_s) as client,
            client.stream(
                "GET", pinned, headers=headers, extensions={"sni_hostname": host}
            ) as answer,
        ):
            return await _read(answer, url, field, limits)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = type(error).__name__
        raise InvalidInput(field, f"{field}: {host} gives no picture ({why})") from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates count; reading them holds up the loop for tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


async def _resolve(host: str, port: int, field: str) -> Address:
    """The first address of ``host``, asked for once."""
    try:
        return ipaddress.ip_address(await resolving.first_address(host, port))
    except (OSError, UnicodeError, ValueError, IndexError) as error:
        raise InvalidInput(field, f"{field}: the host {host} is not known") from error


async def _read(answer: httpx.Response, url: httpx.URL, field: str, limits: Limits) -> bytes | str:
    if answer.status_code in _REDIRECTS and "location" in answer.headers:
        return str(url.join(answer.headers["location"]))
    if answer.status_code != httpx.codes.OK:
        raise InvalidInput(
            field, f"{field}: the URL is answered with {answer.status_code}, not with a picture"
        )
    too_long = InvalidInput(
        field, f"{field}: the file at the URL is longer than {limits.max_bytes:,} bytes"
    )
    declared = answer.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limits.max_bytes:
        raise too_long
    data = bytearray()
    async for part in answer.aiter_raw():
        data += part
        if len(data) > limits.max_bytes:
            raise too_long
    return bytes(data)


@contextmanager
def _counted() -> Iterator[None]:
    global _open
    if _open >= OPEN_MAX:
        raise Unavailable(f"{OPEN_MAX} pictures are being fetched already; try again", 2)
    _open += 1
    try:
        yield
    finally:
        _open -= 1
