"""docs/api.md says what the code does: its tables are compared with the code's."""

import re
from pathlib import Path

from limner.domain.schedulers import SCHEDULER_NAMES
from limner.web import answers
from limner.web.access import auth
from limner.web.reading import form

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "api.md").read_text()


def test_every_field_is_described():
    described = set(re.findall(r"`([\w.]+)`", PAGE))
    assert set(form.READERS) | set(form.ALIASES) - {"imageUrl", "maskUrl"} <= described


def test_every_header_status_scheduler_and_public_path_is_named():
    assert [h for h in answers.EXPOSED_HEADERS if h.lower() not in PAGE.lower()] == []
    assert [s for s in set(answers.STATUS.values()) if f"| {s} |" not in PAGE] == []
    assert [name for name in SCHEDULER_NAMES if f"`{name}`" not in PAGE] == []
    assert [path for path in auth.PUBLIC if f"`{path}`" not in PAGE] == []


def test_every_route_is_named(app):
    paths = {route.path_format for route in app.routes} - {"/v1/rpg"}
    queued = {path for path in paths if re.fullmatch(r"/v2/[^/]+", path)}
    paths = (paths - queued) | {"/v2/{slug}"}
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [path for path in paths if path not in pages] == []


def test_the_document_is_made_once_whoever_asks(app, client, monkeypatch):
    made = []
    openapi = type(app).openapi
    monkeypatch.setattr(type(app), "openapi", lambda self: (made.append(1), openapi(self))[1])
    answers = {client.get(path).text for path in ("/openapi.json", "/docs") * 3}
    assert (len(answers), len(made)) == (2, 2)


def test_the_price_in_the_example(client):
    quote = client.post("/api/quote", json={"prompt": "x"}).json()
    assert f"{quote['credits']} credits" in PAGE
