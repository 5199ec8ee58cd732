"""Runs the fake server of a checkout and writes down what its database is told, as lines of JSON.

As a script, with the checkout first on the path; ``LISTEN_TO`` is the file.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import threading
from collections import defaultdict

from sqlalchemy import Engine, event

OUT = open(os.environ["LISTEN_TO"], "a")  # noqa: SIM115 - as long as the process lives
OPEN: dict[int, list] = defaultdict(list)
LOCK = threading.Lock()


def plain(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


@event.listens_for(Engine, "after_cursor_execute")
def heard(conn, cursor, statement, parameters, _context, executemany):
    if statement.lstrip().startswith(("BEGIN", "PRAGMA")):
        return
    reads = statement.lstrip().startswith("SELECT") and " FOR UPDATE" not in statement
    rows = None if reads or executemany else cursor.rowcount
    for each in parameters if executemany else [parameters]:
        told = statement, plain(each), 1 if executemany else rows
        OPEN[id(conn.connection.dbapi_connection)].append(told)


@event.listens_for(Engine, "commit")
@event.listens_for(Engine, "rollback")
def ended(conn):
    if told := OPEN.pop(id(conn.connection.dbapi_connection), None):
        with LOCK:
            OUT.write(json.dumps(told) + "\n")
            OUT.flush()


if __name__ == "__main__":
    runpy.run_module("tests.e2e.fake_server", run_name="__main__")
