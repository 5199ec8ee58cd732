"""Whose address a wrong key is counted for: the caller's, not what the caller says it is."""

import signal

import pytest
from starlette.testclient import TestClient

from limner.cli import serving
from limner.engine.batching.fake import FakeEngine
from limner.settings import Settings


@pytest.fixture
def guesses(tmp_path, monkeypatch):
    """Called with settings: the statuses of six wrong keys, each from another forged address."""
    found = []

    class Guessed:
        def __init__(self, config, engine):
            config.load()  # with the layers that uvicorn puts round the application
            self.app = config.loaded_app

        def end_in_time(self):
            """Nothing is served, so nothing has to end."""

        def run(self, sockets):
            for listener in sockets:
                listener.close()
            client = TestClient(self.app, client=("127.0.0.1", 5000))
            for number in range(6):
                forged = {"x-forwarded-for": f"10.0.{number}.1", "x-api-key": f"SG_{number:032x}"}
                found.append(client.get("/v1/get-user-credits", headers=forged).status_code)

    def served(**options):
        before = signal.getsignal(signal.SIGTERM)
        try:
            serving.run(Settings(data_dir=tmp_path, port=0, **options))
        finally:
            signal.signal(signal.SIGTERM, before)
        return found

    monkeypatch.setattr(serving, "start_engine", lambda *_: FakeEngine().wait_ready())
    monkeypatch.setattr(serving, "Server", Guessed)
    return served


def test_a_forged_address_passes_no_brake_on_wrong_keys(guesses):
    assert guesses(wrong_keys_max_per_minute=3) == [401, 401, 401, 429, 429, 429]


def test_the_address_that_a_known_proxy_tells_is_believed(guesses):
    assert guesses(wrong_keys_max_per_minute=3, proxies=("127.0.0.1",)) == [401] * 6
