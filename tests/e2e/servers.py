"""A real ``limner serve`` in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

LIMNER = ("-c", "from limner.cli.main import app; app()")
FAKE = ("-m", "tests.e2e.fake_server")


@dataclass
class Server:
    """A running server: where it is, the key it printed, and its process."""

    url: str
    key: str
    data_dir: Path
    process: subprocess.Popen[str]
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}

    def said(self) -> str:
        """What it has told so far, without what its log makes of it: lines of JSON in a file."""
        return "\n".join(_told(line) for line in self.log.read_text().splitlines())

    def stop(self, sig: int = signal.SIGTERM, timeout_s: float = 60) -> int:
        self.process.send_signal(sig)
        return self.process.wait(timeout_s)


def _told(line: str) -> str:
    """The line's own words; Ray's core, which writes JSON of its own, is left as it is."""
    return str(json.loads(line).get("event", line)) if line[:1] == "{" else line


def free_port() -> int:
    """One that nobody listens on, outside of those that the system gives to whoever connects."""
    while True:
        port = random.SystemRandom().randrange(12_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def start(
    data_dir: Path,
    *flags: str,
    ready_s: float = 240,
    program: Sequence[str] = LIMNER,
    checkout: Path = Path(),
) -> Server:
    """Start a server with the embedded model and wait until it is ready to draw.

    ``program`` is what serves, another engine for one, and ``checkout`` where its code lies.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = data_dir.parent / f"serve-{port}.log"
    command = [sys.executable, *program, "serve"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data-dir", str(data_dir), *flags],
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(checkout.resolve())},
            cwd=checkout,
        )
    deadline = time.monotonic() + ready_s
    while not _ready(url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    found = re.search(r"SG_[0-9a-f]{32}", log.read_text())
    return Server(url, found[0] if found else "", data_dir, process, log)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
