"""The playground's files: who gets them, with what policy, and how browsers keep them."""

import posixpath
import re
from graphlib import TopologicalSorter
from importlib import resources

import pytest

from limner.web.pages import page

STATIC = resources.files("limner.web") / "static"
FILES = page.read(STATIC)
WEIGHT_MAX = 350_000
IMPORT = re.compile(r'^(?:import|export) .*?from "(\.[^"]+)";$', re.M)


def modules() -> dict[str, list[str]]:
    """Every module of the page, and the modules that it imports."""
    return {
        name: [
            posixpath.normpath(f"{posixpath.dirname(name)}/{path}")
            for path in IMPORT.findall(file.data.decode())
        ]
        for name, file in FILES.items()
        if name.endswith(".js")
    }


def test_a_stranger_gets_the_page_and_every_file_it_names(stranger):
    html = stranger.get("/").text
    named = set(re.findall(r'(?:src|href)="(static/[^"]+)"', html))
    assert len(named) > 6
    for path in named:
        assert stranger.get("/" + path).status_code == 200, path


def test_every_module_imports_files_that_exist():
    found = modules()
    assert sum(len(imported) for imported in found.values()) > 100
    for name, imported in found.items():
        assert set(imported) <= set(found), name


def test_no_module_imports_itself_by_way_of_others():
    TopologicalSorter(modules()).prepare()  # raises CycleError with the circle


def test_only_the_known_files_are_there(stranger):
    for path in ("nothing.js", "../page.py", "..%2fpage.py", "", "js", "js/"):
        answer = stranger.get(f"/static/{path}")
        assert answer.status_code == 404, path
        assert "error" in answer.json()


def test_the_policy_lets_nothing_else_in(stranger):
    for path in ("/", "/static/js/main.js"):
        headers = stranger.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/static/css/base.css", "/static/fonts/eb-garamond.woff2"])
def test_a_browser_asks_again_and_is_told_nothing_new(stranger, path):
    first = stranger.get(path)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    again = stranger.get(path, headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert "content-security-policy" in again.headers
    assert stranger.get(path, headers={"if-none-match": '"other"'}).content == first.content


def test_head_and_other_verbs(stranger):
    head = stranger.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert stranger.post("/static/js/main.js").status_code == 405


def test_media_types(stranger):
    expected = {
        "": "text/html",
        "static/js/main.js": "text/javascript",
        "static/icon.svg": "image/svg",
    }
    for path, kind in expected.items():
        assert stranger.get(f"/{path}").headers["content-type"].startswith(kind)


def test_the_whole_page_weighs_less_than_350_kb():
    """In English; of the other languages a browser loads one at most, beside it."""
    ours = [name for name in FILES if not name.startswith("js/texts/")]
    assert sum(len(FILES[name].data) for name in (*ours, "js/texts/en.js")) < WEIGHT_MAX


def test_nothing_is_fetched_from_elsewhere():
    for name, file in FILES.items():
        if name.endswith((".js", ".css", ".html")):
            assert not re.search(rb"""["'(=]\s*(https?:)?//""", file.data), name


def test_files_are_short_and_named_by_what_they_are():
    long = [
        n for n, f in FILES.items() if n.endswith((".js", ".css")) and f.data.count(b"\n") > 300
    ]
    assert long == []


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/static/js/desk/prompt/scan.js"])
def test_documents_are_made_once_packed_and_sent_when_changed(app, stranger, monkeypatch, path):
    plain = stranger.get(path, headers={"accept-encoding": "identity"})
    monkeypatch.setattr(app, "openapi", lambda: pytest.fail("made again"))
    packed = stranger.get(path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert plain.headers["etag"] != packed.headers["etag"]
    for first, coding in ((plain, "gzip;q=0"), (packed, "gzip")):
        asked = {"if-none-match": first.headers["etag"], "accept-encoding": coding}
        again = stranger.get(path, headers=asked)
        assert (again.status_code, again.content) == (304, b"")
