"""What a log line looks like, and what may never stand in one."""

import asyncio
import io
import json
import logging
import sys
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from limner import logs
from limner.errors import EngineFault, InvalidInput, SettingsError
from limner.store.db import Database

KEY = "SG_" + "0123456789abcdef" * 2
WORDS = "a garden nobody may know of"


@pytest.fixture
def log():
    """Configured logging; call it for what was written. Everything is put back afterwards."""
    root, own = logging.getLogger(), logging.getLogger("limner")
    before = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


def test_a_line_goes_to_what_is_standard_error_by_then(log, monkeypatch):
    """A stream that was replaced, and closed, takes nothing down with it."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    logs.configure("json")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    logging.getLogger("limner").warning("late")
    assert json.loads(second.getvalue())["event"] == "late"


def test_a_line_is_json_with_time_level_logger_and_request(log):
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        logging.getLogger("limner.engine.batching.loop").warning(
            "%d of %d", 1, 2, extra={"seconds": 0.5}
        )
    (line,) = log()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "1 of 2",
        "level": "warning",
        "logger": "limner.engine.batching.loop",
        "request_id": "req_1",
        "seconds": 0.5,
    }


def test_what_libraries_hang_on_a_record_is_not_shown(log, monkeypatch):
    """Ray replaces the factory of all records; Serve and uvicorn say things to their handlers."""
    plain = logging.getLogRecordFactory()

    def factory(*args, **kwargs):
        record = plain(*args, **kwargs)
        record._ray_timestamp_ns = 1
        return record

    monkeypatch.setattr(logging, "_logRecordFactory", factory)
    logging.getLogger("limner.x").info("ours", extra={"seconds": 0.5})
    logging.getLogger("library").warning("theirs", extra={"log_to_stderr": True})
    assert [set(line) - {"time", "level", "logger"} for line in log()] == [
        {"event", "seconds"},
        {"event"},
    ]


def test_libraries_are_heard_from_warnings_on(log):
    logging.getLogger("httpx").info("GET http://example/?prompt=garden")
    logging.getLogger("limner.x").debug("heard")
    assert [line["event"] for line in log()] == ["heard"]


def test_the_console_form(capsys):
    stream = io.StringIO()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure("console", "info", stream)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                raise EngineFault("it broke")
            except EngineFault:
                logging.getLogger("limner.x").exception("oh")
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    assert "EngineFault: it broke" in stream.getvalue()
    assert "test_the_console_form" in stream.getvalue()


def test_keys_and_passwords_are_cut_out(log):
    url = "postgresql+psycopg://limner:hunter2@db/limner"
    logging.getLogger("limner.x").error("%s and %s", KEY, url, extra={"address": url})
    assert "hunter2" not in str(log())
    assert KEY not in str(log())
    assert "postgresql+psycopg://limner:***@db/limner" in log()[0]["event"]


@given(st.text(), st.text(alphabet="0123456789abcdef", min_size=12, max_size=40), st.text())
def test_no_key_is_left_whatever_is_round_it(before, digits, after):
    shown = logs.hide(f"{before} SG_{digits} {after}")
    assert digits not in shown or digits in before or digits in after


class Model(BaseModel):
    number: int


def _quoting(kind):
    if kind == "value":
        return ValueError(WORDS)
    if kind == "key":
        return KeyError(WORDS)
    if kind == "input":
        return InvalidInput("prompt", f"prompt {WORDS} is unknown")
    try:
        Model(number=WORDS)
    except ValueError as error:
        return error


@pytest.mark.parametrize("kind", ["value", "key", "input", "pydantic"])
@pytest.mark.parametrize("place", ["itself", "cause", "context"])
def test_messages_that_quote_are_not_logged(log, kind, place):
    try:
        try:
            raise _quoting(kind)
        except Exception as first:
            if place == "cause":
                raise EngineFault("drawing failed") from first
            if place == "context":
                raise EngineFault("drawing failed")  # noqa: B904
            raise
    except Exception:
        logging.getLogger("limner.x").exception("a fault")
    (line,) = log()
    assert WORDS not in json.dumps(line)
    assert "_quoting" not in line["exception"] or "raise" in line["exception"]
    assert "message not logged" in line["exception"]
    assert place == "itself" or "EngineFault: drawing failed" in line["exception"]


def test_a_database_error_shows_neither_parameters_nor_rows(log, database):
    """Each kind of server error, with the words among its parameters or in its row."""
    statements = (
        "INSERT INTO nowhere VALUES (:words)",
        "INSERT INTO accounts (id, name, kind, created_at) VALUES ('a', :words, 'none', 0)",
        "INSERT INTO accounts (id, name, kind, created_at, available_micro, held_micro) "
        "VALUES (:words, '', 'customer', 0, -1, 0)",
    )
    for statement in statements:
        try:
            with database.begin() as conn:
                conn.execute(text(statement), {"words": WORDS})
        except DBAPIError:
            logging.getLogger("limner.x").exception("a fault")
    assert len(log()) == 3
    assert WORDS not in json.dumps(log())
    assert "nowhere" in log()[0]["exception"]


def test_a_lost_database_is_named_without_its_password(log):
    url = "postgresql+psycopg://somebody:hunter2@127.0.0.1:1/limner"
    try:
        Database.open(url)
    except SettingsError:
        logging.getLogger("limner.x").exception("a fault")
    assert "hunter2" not in json.dumps(log())
    assert "OperationalError" in log()[-1]["exception"]


def test_asyncios_reprs_of_exceptions_are_cut(log):
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <%s>", WORDS)
    assert log()[0]["event"] == "Task exception was never retrieved"


def test_a_server_without_files_left_fills_no_disk(log):
    """For each round asyncio tells as often as connections may wait that it can accept none."""
    loop = asyncio.new_event_loop()
    for _ in range(2048):
        told = {"message": "socket.accept() out of system resource", "exception": OSError(24, "")}
        loop.call_exception_handler(told)
    loop.close()
    assert len(log()) == logs.REPEATS
    assert sum(len(json.dumps(line)) for line in log()) < 20_000


from tests.store.databases import (  # noqa: E402, F401 - fixtures
    database,
    empty_sqlite,
    postgres_url,
    url,
)


def test_what_is_said_again_and_again_is_left_out_and_counted():
    now = [0.0]
    repeats = logs.Repeats(clock=lambda: now[0])

    def shown(level=logging.ERROR, message="socket.accept() out of system resource"):
        record = logging.LogRecord("asyncio", level, "", 0, message, None, None)
        return repeats.filter(record) and record

    assert sum(bool(shown()) for _ in range(2000)) == logs.REPEATS
    assert shown(message="another")
    assert all(shown(logging.INFO) for _ in range(2000))
    now[0] = logs.REPEATS_S
    assert shown().left_out == 2000 - logs.REPEATS
    assert not hasattr(shown(), "left_out")
