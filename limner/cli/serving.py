"""What ``limner serve`` does: open the database, start the engine, serve, and say what happens."""

from __future__ import annotations

import asyncio
import logging
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

from limner import logs
from limner.cli import checks, hints, terminal
from limner.cli.ending import Server
from limner.cli.loading import make_engine as make_engine
from limner.cli.loading import open_library as open_library
from limner.cli.loading import upscaling
from limner.cli.process import allow_files, connections_within, share_arenas
from limner.domain.licences import RAIL_M
from limner.domain.pricing import MICRO
from limner.errors import EngineBroken, SettingsError
from limner.imaging.pool import Pool
from limner.imaging.process import Limits
from limner.models.hashing import Hashing
from limner.models.listing import Library
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from limner.store.sql import lock_start
from limner.usecases.accounts import LOCAL, Accounts
from limner.usecases.administration import Administration
from limner.usecases.closing import Closing
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.sources import Sources, open_sources
from limner.usecases.drawing.worker import Worker
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.pictures.replay import Replay
from limner.usecases.pictures.retention import Retention
from limner.usecases.preprocessing import Preprocessing
from limner.usecases.queueing.queue import Queue
from limner.web.access.connections import Connection
from limner.web.app import create_app
from limner.web.services import Services

if TYPE_CHECKING:
    from limner.engine.batching.client import LastingClient as Engine
    from limner.web.application import Application

log = logging.getLogger(__name__)

FIRST_CREDITS = 100
FILES = 256  # open at once beside connections: databases, pictures, fetches
EXAMPLE = '{"prompt": "a knight in red armor, desert background", "img_height": 768}'


def run(settings: Settings) -> None:
    """Serve until stopped; SIGTERM and Ctrl+C let running pictures finish (``drain_s``)."""
    logs.configure(settings.log_format, settings.log_level)
    share_arenas()
    checks.replicas(settings)
    sockets = listen(settings.host, settings.port)  # first: a taken port should cost no time
    settings = _with_port(settings, sockets[0].getsockname()[1])
    checks.folders(settings)
    wanted = 2 * settings.connections_max
    connections = connections_within(allow_files(wanted + FILES), wanted, FILES)
    database = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    first_key = _first_key(settings, database)
    if settings.open_sdapi:
        open_local(settings, database)
    sources = open_sources(settings, database)
    library = open_library(settings)
    adapters = AdapterFiles(library)
    engine = start_engine(settings, sources, adapters)
    app = make_app(settings, database, engine, sources, library=library, adapters=adapters)
    threading.Thread(target=_tell, args=(settings, engine, first_key), daemon=True).start()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Connection,
        # Libraries that happen to be installed would take connections out of our hands.
        ws="none",
        loop="asyncio",
        # Quiet connections included; of keys' calls in progress the web takes half as many.
        limit_concurrency=connections,
        forwarded_allow_ips=list(settings.proxies),
        # Longer than clients keep a quiet connection, so that none sends into one being closed.
        timeout_keep_alive=75,
        log_config=None,
        log_level="warning",
        access_log=False,  # the application writes its own line for each call
        server_header=False,
    )
    # uvicorn finishes what runs, then raises the signal once more: that is the end of the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(config, engine)
    try:
        server.end_in_time()
        server.run(sockets)
    except KeyboardInterrupt:
        terminal.say("Stopped.")
    finally:
        engine.close()
        database.close()
        log.info("stopped")
    if engine.failure is not None:  # a supervisor starts anew what ends with an error
        raise EngineBroken(_why(engine.failure)) from engine.failure


def _why(failure: Exception) -> str:
    if isinstance(failure, SettingsError):
        return str(failure)
    if not isinstance(failure, EngineBroken):
        return f"The model could not be loaded: {failure}"
    cause = failure.__cause__
    why = str(failure).rstrip(".") if cause is None else f"{type(cause).__name__}: {cause}"
    return f"The engine cannot draw any more ({why}); the server ended."


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of ``host``. Raises ``SettingsError`` where one cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places = dict.fromkeys((family, address[0]) for family, *_, address in found)
        sockets: list[socket.socket] = []
        for family, address in places:
            sockets.append(socket.create_server((address, port), family=family))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise SettingsError(f"{host}:{port} cannot be listened on: {why}.") from error
    return sockets


def _with_port(settings: Settings, port: int) -> Settings:
    """The settings with the port the system chose, also in what is made of it."""
    return settings.changed(port=port)


def start_engine(settings: Settings, sources: Sources, adapters: AdapterFiles) -> Engine:
    """The engine of this process, or the replicas of a cluster; what it needs comes up beside."""
    if settings.engine == "ray":
        from limner.cli import replicating

        return replicating.start(settings, sources.read)
    return make_engine(settings, sources.read, adapters.find_any)


def make_app(
    settings: Settings,
    database: Database,
    engine: Engine,
    sources: Sources | None = None,
    *,
    library: Library | None = None,
    adapters: AdapterFiles | None = None,
) -> Application:
    """The application with its use cases, which start and stop with it.

    ``sources`` and ``adapters``: those that ``engine`` reads from; ``library``: that of
    ``adapters``.
    """
    library = library or open_library(settings)
    sources = sources or open_sources(settings, database)
    worker = Worker(settings, database, engine, sources, library)
    adapters = adapters or AdapterFiles(library)
    generate = Generate(worker, adapters)
    queue, retention = Queue(generate), Retention(worker)
    accounts, gallery = Accounts(settings, database), Gallery(worker)
    replay = Replay(generate.worker, gallery)
    pool = Pool(Limits(settings.decode_max_s, settings.decode_max_mib))
    administration, budget = Administration(database), worker.budget
    kept = (library, upscaling(settings, adapters), Preprocessing(library))
    services = Services(
        generate, accounts, administration, engine, queue, gallery, replay, pool, budget, *kept
    )
    app = create_app(settings, services)
    hashing = Hashing(library, lambda: _is_idle(engine))

    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[None]:
        await generate.start()
        await queue.start()
        await retention.start()
        hashing.start()
        yield
        hashing.close()
        await retention.close()
        await queue.close()
        await generate.close()
        await asyncio.to_thread(pool.close)

    app.router.lifespan_context = lifespan
    app.state.closing = Closing(generate, queue, settings.drain_s)
    return app


def _is_idle(engine: Engine) -> bool:
    """Whether it is ready and nothing is drawn."""
    status = engine.status()
    return status.ready and not status.running and not status.waiting


def _first_key(settings: Settings, database: Database) -> str | None:
    """On the first start a key with credits; its plain text, or None when there are keys."""
    with database.begin() as conn:
        lock_start(conn)  # of several that start at once, one makes it
        if keys.listing(conn):
            return None
        plain, key = keys.create(conn, name="first", credits_micro=FIRST_CREDITS * MICRO)
        if settings.accept_license:
            keys.accept_licence(conn, key.id, RAIL_M.id, RAIL_M.version)
    return plain


def open_local(settings: Settings, database: Database) -> None:
    """See that there is a key for callers who need none; the first has some credits."""
    with database.begin() as conn:
        lock_start(conn)
        former = [key for key in keys.listing(conn) if key.name == LOCAL]
        if any(key.revoked_at is None for key in former):
            return
        credits = 0 if former else FIRST_CREDITS
        _, key = keys.create(conn, name=LOCAL, credits_micro=credits * MICRO)
        if settings.accept_license:
            keys.accept_licence(conn, key.id, RAIL_M.id, RAIL_M.version)


def _tell(settings: Settings, engine: Engine, first_key: str | None) -> None:
    """What a person at the terminal wants to know, as it becomes true."""
    began = time.monotonic()
    say = _say_json if logs.is_json(settings.log_format) else terminal.say
    say(f"Limner on {settings.public_url} (data in {settings.data_dir})")
    if first_key:
        say(f"A first key with {FIRST_CREDITS} credits, shown only now: {first_key}")
    while not engine.status().ready:
        if engine.failure is not None:
            return  # ``run`` tells it last
        time.sleep(0.05)  # the log tells what is being loaded
    model = engine.status().model
    assert model is not None
    say(
        f"Ready after {time.monotonic() - began:.1f} s: {model.name} on {model.device}, "
        f"{model.dtype}. Draw:"
    )
    say("\n" + curl(settings, first_key or "YOUR_KEY") + "\n", style="bold")
    if not first_key:
        another = hints.command("keys create --name me --credits 10", settings)
        say(f"(`{another}` makes another key.)")
    elif model.licence_needs_acceptance and not settings.accept_license:
        say(f"(The key draws once its holder has accepted {model.licence}: {accepting(settings)})")


def _say_json(text: str, **_: str) -> None:
    """A line for a journal whose lines are JSON."""
    terminal.data({"event": text.strip(), "logger": "limner.serve", "level": "info"})


def accepting(settings: Settings) -> str:
    """How the holder of a key accepts the licence of the loaded model."""
    url = settings.public_url
    return f"read {url}/license, then curl -X POST {url}/api/license/accept -H 'x-api-key: KEY'."


def curl(settings: Settings, key: str) -> str:
    """A command that draws a picture when pasted into a shell."""
    parts = (
        f"curl -o knight.jpg {settings.public_url}/v1/{settings.slug}",
        f"-H 'x-api-key: {key}' -H 'content-type: application/json'",
        f"-d {shlex.quote(EXAMPLE)}",
    )
    return " \\\n  ".join(parts)
