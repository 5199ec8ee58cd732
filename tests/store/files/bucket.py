"""An S3 server on loopback, and buckets in it."""

import logging
import threading
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import httpx
import pytest

_NAMES = count(1)


class Bucket:
    """A bucket of its own: ``url`` for the settings, and what only its owner can do."""

    def __init__(self, endpoint):
        self.endpoint, self.name = endpoint, f"pictures-{next(_NAMES)}"
        self.url = f"s3://{self.name}/house"
        httpx.put(f"{endpoint}/{self.name}", timeout=120).raise_for_status()  # moto loads S3 now

    def objects(self):
        from moto.backends import get_backend

        return get_backend("s3")["123456789012"]["aws"].buckets[self.name].keys

    def age(self, key, seconds):
        self.objects()[f"house/{key}"].last_modified -= timedelta(seconds=seconds)

    def remove(self):
        import boto3

        client = boto3.client("s3", endpoint_url=self.endpoint)
        for name in list(self.objects()):
            client.delete_object(Bucket=self.name, Key=name)
        client.delete_bucket(Bucket=self.name)


class Flaky:
    """An application that fails every so many calls, after it has done them or before.

    ``writes``: how it refuses whatever would write, such as ``("403 Forbidden", "AccessDenied")``;
    ``quiet``: it answers nobody while that is not set.
    """

    def __init__(self, app):
        self._app, self._calls, self.every = app, count(1), 0
        self.writes, self.quiet = None, None

    def __call__(self, environ, start_response):
        number = next(self._calls)
        if self.quiet is not None:
            self.quiet.wait(30)
        if self.writes is not None and environ["REQUEST_METHOD"] == "PUT":
            status, code = self.writes
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response(status, headers)
            return [body]
        if not self.every or number % self.every:
            return self._app(environ, start_response)
        if number % (2 * self.every):
            list(self._app(environ, lambda *_: None))
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return [b""]


@contextmanager
def s3_server():
    """An S3 server that this process's environment points to: its endpoint, and its ``Flaky``."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ):
            patch.setenv(name, value)
        try:
            yield endpoint, app
        finally:
            server.shutdown()
            thread.join()
