"""A server whose engine has failed says why and ends, so that its supervisor starts it anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from limner.store import keys
from limner.store.db import Database
from limner.store.schema import requests
from tests.e2e.servers import free_port

FAKE = [sys.executable, "-m", "tests.e2e.fake_server"]
UNLOADABLE = """
from limner.cli import main, serving
from limner.engine.batching.loop import ThreadEngine
from limner.errors import CheckpointError

def load(say, choice):
    raise CheckpointError("unet.safetensors is damaged")

serving.make_engine = lambda settings, read, find: ThreadEngine(load)
main.app()
"""
MINUTE_S = 60.0


@contextmanager
def started(tmp_path: Path, *command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = subprocess.Popen(
        [*command, "--port", str(port), "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_server_whose_every_step_fails_ends_and_takes_no_try(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'limner.db'}")
    with database.begin() as conn:
        plain, _ = keys.create(conn, name="me", credits_micro=10_000_000)
    with started(tmp_path, *FAKE, "--fail-step") as (process, url):
        body = {"prompt": "a knight", "samples": 4}
        sent = 0
        while process.poll() is None and sent < 20:
            with suppress(httpx.TransportError):
                answer = httpx.post(f"{url}/v2/sd1.5-rpg", json=body, headers={"x-api-key": plain})
                sent += answer.status_code < 300
        said, _ = process.communicate(timeout=MINUTE_S)
        assert process.returncode == 1, said
    assert "limner: The engine cannot draw any more (RuntimeError: a planted fault" in said
    with database.read() as conn:
        found = conn.execute(select(requests.c.status, requests.c.tries)).all()
    database.close()
    assert len(found) >= sent > 0
    assert {tuple(row) for row in found} == {("QUEUED", 0)}


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path: Path) -> None:
    with started(tmp_path, sys.executable, "-c", UNLOADABLE, "serve") as (process, _):
        said, _ = process.communicate(timeout=MINUTE_S)
    assert process.returncode == 1, said
    assert "limner: The model could not be loaded: unet.safetensors is damaged" in said
