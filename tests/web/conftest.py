"""An application over fakes, and clients for it: in the process, and over a real socket."""

import socket
import threading

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from limner.settings import Settings
from limner.web.app import create_app
from tests.waiting import LONG_S, wait_until
from tests.web import fakes

PATH = "/v1/sd1.5-rpg"


@pytest.fixture
def settings():
    return Settings(
        data_dir="/nonexistent",
        public_url="http://limner.test",
        aliases=("rpg",),
        key_max_free_calls_per_minute=1_000_000,  # some tests send thousands of wrong bodies
    )


@pytest.fixture
def services():
    return fakes.services()


@pytest.fixture
def app(settings, services):
    return create_app(settings, services)


@pytest.fixture
def client(app):
    """Sends the good key with every request; a fault of the server is raised, not answered."""
    return TestClient(app, headers={"x-api-key": fakes.KEY})


@pytest.fixture
def stranger(app):
    return TestClient(app)


@pytest.fixture
def draw(client):
    """Posts a body to the model and returns the answer."""

    def post(body=None, **options):
        body = {"prompt": "a knight"} if body is None else body
        return client.post(PATH, json=body, **options)

    return post


@pytest.fixture
def server(app):
    """The application behind uvicorn on a free port; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app, loop="asyncio", log_level="error", lifespan="off", timeout_keep_alive=75
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(LONG_S)


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server, headers={"x-api-key": fakes.KEY}, timeout=LONG_S) as client:
        yield client


def pytest_ignore_collect(collection_path, config):
    """Leave out what imports schemathesis, where its plugin is switched off."""
    if collection_path.name == "test_schema.py" and not config.pluginmanager.has_plugin(
        "schemathesis"
    ):
        return True
    return None
