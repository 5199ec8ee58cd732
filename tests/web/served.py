"""The whole server over a real socket: uvicorn, use cases, SQLite, and the fake engine."""

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from limner.cli.serving import Server, make_app
from limner.engine.batching.fake import FakeEngine
from limner.imaging.budget import Budget
from limner.settings import Settings
from limner.store import audit, keys, ledger
from limner.store.db import Database
from limner.store.files import open_files
from limner.usecases.drawing.sources import Sources
from limner.web.access.connections import Connection
from limner.web.application import Application
from tests.store.databases import empty_bytes
from tests.waiting import LONG_S, wait_for, wait_until
from tests.web import decoders

CREDITS = 10
SETTLE_S = 10.0


@dataclass
class Served:
    """A running server; ``key`` is a good key with ``CREDITS`` credits."""

    url: str
    key: str
    app: Application
    database: Database
    engine: FakeEngine
    settings: Settings

    @property
    def headers(self):
        return {"x-api-key": self.key}

    def new_key(self, credits=CREDITS, **limits):
        micro = int(credits * 1_000_000)
        with self.database.begin() as conn:
            return keys.create(conn, name="more", credits_micro=micro, **limits)[0]

    def http(self, key=None):
        headers = {"x-api-key": key or self.key}
        return httpx.Client(base_url=self.url, headers=headers, timeout=LONG_S)


def wait_for_sums(running):
    """Until the server knows its models by their SHA-256s, which it makes when it is idle."""
    with running.http() as http:
        wait_until(lambda: all(row["sha256"] for row in http.get("/api/models").json()))


@contextmanager
def serve(folder: Path, *, engine=None, files=None, empty=True, **settings):
    """A server on a free port; its books are checked at the end.

    ``files`` are kept in its folder unless given; ``empty``: nothing may be held any more then.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    chosen = Settings(**{"data_dir": folder, "public_url": url, "drain_s": 5, **settings})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "limner.db"
    if "database_url" not in settings and not file.exists():
        file.write_bytes(empty_bytes())
    database = Database.open(chosen.database_url)
    files = files or open_files(chosen.pictures_place, database)
    sources = Sources(files, Budget(chosen.pictures_max_mib << 20))
    engine = (engine or FakeEngine(read=sources.read)).wait_ready()
    app = make_app(chosen, database, engine, sources)
    with database.begin() as conn:
        key, _ = keys.create(conn, name="me", credits_micro=CREDITS * 1_000_000)
    with decoders.lent(), _running(app, listener):
        yield Served(url, key, app, database, engine, chosen)
        if empty:  # what a stop finds in the queue stays there, and held
            with suppress(AssertionError):
                wait_for(lambda: _held(database), lambda held: not held, within_s=SETTLE_S)
    engine.close()
    with database.read() as conn:
        assert audit.check(conn) == []
    assert _held(database) == 0 or not empty
    database.close()


def _held(database):
    with database.read() as conn:
        return ledger.totals(conn)["held"]


@contextmanager
def _running(app, listener):
    # Twice what is waited for below: one that does not end by itself is a fault.
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        log_level="error",
        timeout_keep_alive=75,  # as of `limner serve`; 5 s end between the calls of a busy machine
        timeout_graceful_shutdown=2 * LONG_S,
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(LONG_S)
        assert not thread.is_alive()
