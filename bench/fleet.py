"""Server processes to measure, to crowd and to kill, on databases of their own.

Everything stays on 127.0.0.1. ``DATABASE`` on a command line is ``sqlite``, ``postgresql`` (a
server at ``TEST_POSTGRES``, by default postgres@127.0.0.1) or a URL.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text

from limner.store import audit, keys
from limner.store.db import Database

POSTGRES = os.environ.get("TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
COMMAND = {
    "fake": [sys.executable, "-m", "tests.e2e.fake_server"],
    "real": [sys.executable, "-c", "from limner.cli.main import app; app()"],
}
ROOT = Path(__file__).parents[1]
GENEROUS = {
    "LIMNER_KEY_MAX_REQUESTS_PER_MINUTE": "10000000",
    "LIMNER_QUEUE_MAX_REQUESTS": "4096",
}


class Server:
    """One ``limner serve``; ``engine`` is ``fake`` (a step takes ``step_s``) or ``real``.

    ``replicas``: so many draw, each with such an engine, on a Ray of the server's own.
    ``faults``: the odds with which a step, a decoding, a file or a transaction of a fake one fails.
    ``checkout``: where its code lies, this one's or an older one's.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        engine: str = "fake",
        step_s: float = 0.002,
        faults: float = 0.0,
        replicas: int = 0,
        checkout: Path = ROOT,
        **settings: object,
    ) -> None:
        self.engine, self.checkout = engine, checkout
        if replicas:
            settings = {"engine": "ray", "replicas": replicas, **settings}
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"serve-{self.port}.log"
        chosen = {f"LIMNER_{name.upper()}": str(value) for name, value in settings.items()}
        self._environ = {
            **os.environ,
            **GENEROUS,
            "PYTHONPATH": str(checkout),
            "LIMNER_DATA_DIR": str(folder),
            "LIMNER_DATABASE_URL": database_url,
            "LIMNER_PORT": str(self.port),
            "FAKE_STEP_S": str(step_s),
            "FAKE_FAULTS": str(faults),
            **chosen,
        }
        folder.mkdir(parents=True, exist_ok=True)
        # None outlives the measurement, however that ends.
        atexit.register(lambda: self.process.kill())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.start()

    def start(self) -> None:
        """Start it, on the port it had before."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*COMMAND[self.engine], "serve"],
                cwd=self.checkout,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
            )

    def wait_ready(self, timeout_s: float = 900.0) -> Server:
        """Block until it draws; returns itself."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # what urllib raises for every refusal
                urllib.request.urlopen(f"{self.url}/health/ready", timeout=5).close()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    @property
    def resident_mib(self) -> float:
        """Memory it occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    @property
    def files(self) -> int:
        """File descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def threads(self) -> int:
        """Threads it has."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database, which is dropped at the end if it was made here."""
    if name == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{folder / 'limner.db'}"
    elif name == "postgresql":
        server = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
        made = f"limner_bench_{secrets.token_hex(4)}"
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {made}"))
        try:
            yield server.url.set(database=made).render_as_string(hide_password=False)
        finally:
            with server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {made} WITH (FORCE)"))
            server.dispose()
    else:
        yield name


@contextlib.contextmanager
def pictures(kind: str, fail_every: int = 0) -> Iterator[dict[str, str]]:
    """Settings of servers for their pictures: on disk, or in a bucket of an S3 server on loopback.

    Of the calls to that server one in ``fail_every`` fails, before or after it has been done.
    """
    if kind == "disk":
        yield {}
        return
    from tests.store.files.bucket import Bucket, s3_server

    with s3_server() as (endpoint, store):
        bucket = Bucket(endpoint)
        store.every = fail_every
        yield {"pictures": bucket.url}


def add_places(parser: argparse.ArgumentParser, servers: int) -> None:
    """Flags that say how many servers there are, and where their pictures lie."""
    parser.add_argument("--servers", type=int, default=servers)
    parser.add_argument("--pictures", choices=("disk", "s3"), default="disk")
    parser.add_argument("--fail-every", type=int, default=0, help="calls of the S3 server")


def add_replicas(parser: argparse.ArgumentParser, replicas: int = 0) -> None:
    """The flag that has replicas on Ray draw, in place of the server's own process."""
    parser.add_argument(
        "--replicas", type=int, default=replicas, help="on Ray; 0: the server's own engine"
    )


def new_key(url: str, credits: int = 1_000_000, name: str = "bench") -> str:
    """A key with credits, created past the server."""
    opened = Database.open(url)
    with opened.begin() as conn:
        plain, _ = keys.create(conn, name=name, credits_micro=credits * 1_000_000)
    opened.close()
    return plain


def wrong_error(answer: httpx.Response, *, faults: bool) -> str | None:
    """What is wrong with an answer of 500 or more; ``faults``: are some planted?"""
    said = f"{answer.status_code} {answer.text[:200]}"
    if answer.headers.get("x-cost", "0") != "0":
        return f"{said}, which says that it cost something"
    if answer.status_code == 503:
        return None if "retry-after" in answer.headers else f"{said}, without Retry-After"
    return None if faults and answer.status_code == 500 else said


def books(url: str) -> list[str]:
    """What is wrong with them: with what was billed, what is stored and what keys have spent."""
    opened = Database.open(url)
    with opened.read() as conn:
        found = [f"{each.kind}: {each.subject}, {each.detail}" for each in audit.check(conn)]
    opened.close()
    return found


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares: by how much the second rises for one of the first."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
