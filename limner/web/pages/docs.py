"""``/openapi.json`` and ``/docs``: one page made from the document, that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from limner.web import files
from limner.web.answers import dumps
from limner.web.application import Application
from limner.web.files import File

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --accent: #c3402a; --line: #8884 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { font-family: Georgia, serif; font-weight: 500 }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem }
h2 code { color: var(--accent) }
table { border-collapse: collapse; width: 100%; font-size: .9em }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0 }
td { border-top: 1px solid var(--line) }
code { font-family: ui-monospace, monospace }
"""


def install(app: Application) -> None:
    """Add the two routes, each made once; they are not part of the document."""

    @cache
    def document_file() -> File:
        return File(dumps(app.openapi()).encode(), "application/json")

    @cache
    def page_file() -> File:
        return File(render(app.openapi()).encode(), "text/html; charset=utf-8")

    async def document(request: Request) -> Response:
        return files.answer(request, document_file(), {})

    async def page(request: Request) -> Response:
        return files.answer(request, page_file(), {"Content-Security-Policy": POLICY})

    app.add_api_route("/openapi.json", document, methods=["GET"])
    app.add_api_route("/docs", page, methods=["GET"])


def render(document: Mapping[str, Any]) -> str:
    """The OpenAPI ``document`` as one HTML page."""
    info = document["info"]
    sections = "".join(
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    title = escape(f"{info['title']} {info['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(info.get('description', ''))}</p>"
        f"{sections}</html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{_text(operation.get('summary', ''))}</p>",
    ]
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        schema = next(iter(content.values()))["schema"]
        parts.append(f"<p>Body: {escape(' or '.join(content))}</p>")
        parts.append(_table(("field", "type", "default", "meaning"), _fields(schema)))
    parts.append(_table(("status", "meaning"), _answers(operation["responses"])))
    for answer in operation["responses"].values():
        if answer.get("headers"):
            rows = ((name, _text(h["description"])) for name, h in answer["headers"].items())
            parts.append(_table(("header", "meaning"), rows))
    return "".join(parts)


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, field in schema.get("properties", {}).items():
        default = escape(str(field["default"])) if "default" in field else ""
        if name in schema.get("required", ()):
            default = "required"
        yield name, escape(_type(field)), default, _text(field.get("description", ""))


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    kind = str(field.get("type", "any"))
    if "minimum" in field:
        kind += f" {field['minimum']} to {field['maximum']}"
    if "multipleOf" in field:
        kind += f" in steps of {field['multipleOf']}"
    if "maxLength" in field:
        kind += f" of {field.get('minLength', 0):,} to {field['maxLength']:,} characters"
    return kind


def _answers(responses: Mapping[Any, Any]) -> Iterator[tuple[str, ...]]:
    for code, answer in responses.items():
        kinds = ", ".join(answer.get("content", {}))
        yield str(code), _text(answer["description"]) + (f" ({escape(kinds)})" if kinds else "")


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join(
        f"<tr><td><code>{escape(first)}</code></td>"
        + "".join(f"<td>{cell}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def _text(text: str) -> str:
    """Escaped, with `code` between backticks set as such."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )
