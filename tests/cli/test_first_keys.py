"""What ``limner serve`` does before it serves."""

import io
import shlex
import threading

from PIL import Image
from starlette.testclient import TestClient

from limner.cli import serving
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from limner.web.app import create_app
from tests.store.databases import empty_sqlite, postgres_url, tmp_path, url
from tests.web import fakes

__all__ = ["empty_sqlite", "postgres_url", "tmp_path", "url"]


def test_of_several_that_start_at_once_one_makes_the_first_keys(url, tmp_path):
    settings = Settings(database_url=url, data_dir=tmp_path)
    opened = [Database.open(url) for _ in range(4)]
    together, made = threading.Barrier(len(opened)), []

    def start(database):
        together.wait()
        made.append(serving._first_key(settings, database))
        serving.open_local(settings, database)

    threads = [threading.Thread(target=start, args=[database]) for database in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened[0].read() as conn:
        assert sorted(key.name for key in keys.listing(conn)) == ["first", "local"]
    assert made.count(None) == 3
    for database in opened:
        database.close()


def test_the_printed_curl_asks_for_a_picture():
    """A shell's words of it, sent to the application; ``test_clients`` pastes it into a shell."""
    settings = Settings(data_dir="/nonexistent", public_url="http://limner.test")
    words = shlex.split(serving.curl(settings, fakes.KEY).replace("\\\n", " "))
    assert words[:3] == ["curl", "-o", "knight.jpg"]
    assert words[4::2] == ["-H", "-H", "-d"]
    url, *told, body = words[3::2]
    client = TestClient(create_app(settings, fakes.services()), base_url="http://limner.test")
    answer = client.post(url, content=body, headers=dict(each.split(": ") for each in told))
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
