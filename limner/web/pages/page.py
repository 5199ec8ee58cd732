"""The playground at ``/`` and its files under ``/static/``: what a browser gets without a key.

The files are read once and answered from memory. They name each other relatively, so that the
page works behind a proxy's path too, and nothing is fetched from anywhere else: the content
security policy forbids it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from limner.errors import NotFound
from limner.web.application import Application
from limner.web.drawing import Api
from limner.web.files import File, answer

PREFIX = "/static/"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        # blob: pictures fetched with the key; data: previews.
        "img-src 'self' blob: data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


def install(app: Application, _: Api) -> None:
    """Add ``/`` and ``/static/{path}``; they are not part of the API's document."""
    page, files = _own()

    async def show_page(request: Request) -> Response:
        return answer(request, page, SECURITY)

    async def show_file(request: Request) -> Response:
        name = request.path_params["path"]
        if name not in files:
            raise NotFound(f"Nothing is served at {PREFIX}{name[:200]}")
        return answer(request, files[name], SECURITY)

    app.add_api_route("/", show_page, methods=["GET"])
    app.add_api_route(PREFIX + "{path:path}", show_file, methods=["GET"])


@cache
def _own() -> tuple[File, Mapping[str, File]]:
    files = read(resources.files("limner.web") / "static")
    return files.pop("index.html"), files


def read(folder: Traversable, prefix: str = "") -> dict[str, File]:
    """Every file below ``folder`` by its path there; kinds the page does not use are left out."""
    found: dict[str, File] = {}
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found |= read(entry, name + "/")
        elif _suffix(name) in _TYPES:
            found[name] = _file(name, entry.read_bytes())
    return found


def _file(name: str, data: bytes) -> File:
    return File(data, _TYPES[_suffix(name)])


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""
