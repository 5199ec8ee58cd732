"""The database: migrations, isolation, and URLs that cannot be used."""

import secrets
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.exc import OperationalError

from limner.errors import DatabaseUnavailable, SettingsError
from limner.store import audit, db, images, jobs, schema, sqlite, troubles
from limner.store.db import Database
from limner.store.schema import accounts, pictures
from tests.store import hasty

ROW = {"name": "n", "kind": "customer", "available_micro": 1, "held_micro": 0, "created_at": 0}


def test_migrations_make_the_tables_of_the_schema(database):
    with database.begin() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_every_check_of_the_schema_is_in_the_database(database):
    wanted = {
        constraint.name
        for table in schema.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name and constraint.name.startswith(("ck_", "fk_"))
    }
    with database.read() as conn:
        if conn.dialect.name == "sqlite":
            found = " ".join(
                conn.execute(text("SELECT coalesce(sql, '') FROM sqlite_master")).scalars()
            )
        else:
            found = " ".join(conn.execute(text("SELECT conname FROM pg_constraint")).scalars())
    assert len(wanted) > 20
    assert [name for name in wanted if name not in found] == []


BEFORE_LINES = (
    "INSERT INTO accounts VALUES ('acc', 'n', 'customer', 70, 0, 0)",
    "INSERT INTO keys (id, account_id, name, hint, hash, scopes, created_at, spent_micro) "
    "VALUES ('key', 'acc', 'n', 'SG_', 'h', 'draw', 0, 30)",
    "INSERT INTO transfers VALUES ('g', 'grant', 'acc', 100, NULL, 0)",
    "INSERT INTO transfers VALUES ('h1', 'hold', 'acc', 40, NULL, 0)",
    "INSERT INTO resolutions VALUES ('h1', 'capture', 0)",
    "INSERT INTO transfers VALUES ('h1/c', 'capture', 'acc', 30, 'h1', 0)",
    "INSERT INTO transfers VALUES ('h1/r', 'release', 'acc', 10, 'h1', 0)",
    "INSERT INTO requests VALUES ('req', 'key', 'acc', 's', 'v', NULL, 'b', "
    """'{"prompt": "a knight", "samples": 4}', '[]', 4, false, 'COMPLETED', 1, 'h1', 40, 30, """
    "1.0, NULL, NULL, 0, 0, 0, NULL)",
    *(
        f"INSERT INTO entries VALUES ('{id}', {side}, '{account}', '{pocket}', {micro})"
        for id, leaves, enters, micro in (
            ("g", ("issued", "issued"), ("acc", "available"), 100),
            ("h1", ("acc", "available"), ("acc", "held"), 40),
            ("h1/c", ("acc", "held"), ("income", "income"), 30),
            ("h1/r", ("acc", "held"), ("acc", "available"), 10),
        )
        for side, (account, pocket) in ((-1, leaves), (1, enters))
    ),
    *(
        f"INSERT INTO pictures VALUES ('pic{i}', 'req', {i}, '1', 64, 64, 'd', '{receipt}', "
        f"'f{i}', 1, 0)"
        for i, receipt in enumerate(
            ("[]", '{"model": {}}', '{"model": {"sha256": "ab", "source_sha256": "cd"}}')
        )
    ),
)


def test_requests_from_before_lines_keep_their_sums(postgres_url, tmp_path):
    name = f"limner_old_{secrets.token_hex(6)}"
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    url = server.url.set(database=name).render_as_string(hide_password=False)
    try:
        for old in (url, f"sqlite:///{tmp_path / 'old.db'}"):
            _upgrade_with_history(old)
    finally:
        with server.connect() as conn:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def _upgrade_with_history(url):
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(db.MIGRATIONS))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0003")
        for statement in BEFORE_LINES:
            conn.execute(text(statement.replace(":", "\\:")))
    engine.dispose()
    database = Database.open(url)
    with database.read() as conn:
        assert audit.check(conn) == []
        job = jobs.find(conn, "req")
        assert job.lines == (jobs.Line({"prompt": "a knight", "samples": 4}, 10),)
        sums = select(pictures.c.model_sums).order_by(pictures.c.index)
        assert conn.execute(sums).scalars().all() == ["", "", "\nab\ncd"]
        assert (job.drawn, [p.price_micro for p in images.of_request(conn, "req")]) == (3, [10] * 3)
    database.close()


def test_opening_again_changes_nothing(url):
    first = Database.open(url)
    with first.begin() as conn:
        conn.execute(insert(accounts).values(id="acc_1", **ROW))
    first.close()
    second = Database.open(url)
    with second.read() as conn:
        assert conn.execute(select(accounts.c.id)).scalars().all().count("acc_1") == 1
    second.close()


def test_many_open_a_new_database_at_once(tmp_path):
    faults = []

    def opener():
        try:
            Database.open(f"sqlite:///{tmp_path / 'new' / 'limner.db'}").close()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=opener) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_database_of_a_newer_limner_is_refused(url):
    database = Database.open(url)
    with database.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(SettingsError, match="revision 9999"):
            Database.open(url)
    finally:
        with database.begin() as conn:
            newest = db._revisions()[0]
            conn.execute(text(f"UPDATE alembic_version SET version_num = '{newest}'"))
        database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://u:hunter2@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "oracle://x:hunter2@y",
    ],
)
def test_a_url_of_another_kind_is_refused_without_its_password(url):
    with pytest.raises(SettingsError) as caught:
        Database.open(url)
    assert "hunter2" not in str(caught.value)
    assert "postgresql+psycopg://" in str(caught.value)


def test_an_exception_rolls_back(database):
    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        conn.execute(insert(accounts).values(id="acc_1", **ROW))
        1 / 0  # noqa: B018
    with database.read() as conn:
        assert conn.execute(select(accounts.c.id).where(accounts.c.id == "acc_1")).all() == []


def test_readers_do_not_wait_for_a_writer(database):
    with database.begin() as writer:
        writer.execute(insert(accounts).values(id="acc_1", **ROW))
        with database.read() as reader:
            assert len(reader.execute(select(accounts)).all()) == 2


def test_writers_in_two_pools_on_one_file_wait_for_each_other(tmp_path):
    url = f"sqlite:///{tmp_path / 'limner.db'}"
    pools = [Database.open(url), Database.open(url)]
    with pools[0].begin() as conn:
        conn.execute(insert(accounts).values(id="acc_1", **ROW))

    def add(database):
        for _ in range(50):
            with database.begin() as conn:
                found = conn.execute(
                    select(accounts.c.available_micro).where(accounts.c.id == "acc_1")
                )
                more = found.scalar_one() + 1
                conn.execute(
                    accounts.update().where(accounts.c.id == "acc_1").values(available_micro=more)
                )

    threads = [threading.Thread(target=add, args=[database]) for database in pools * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pools[0].read() as conn:
        query = select(accounts.c.available_micro).where(accounts.c.id == "acc_1")
        assert conn.execute(query).scalar_one() == 201
    for database in pools:
        database.close()


def test_a_database_that_somebody_else_writes_to_is_said_to_be_busy(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "limner.db"
    database = Database.open(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="busy") as caught, database.begin():
            pass
    assert caught.value.retry_after_s > 0
    database.close()


@pytest.mark.timeout(15)  # the whole patience for one of them would be 20 s
def test_what_was_asked_for_long_ago_waits_no_more_and_takes_what_is_free(tmp_path):
    path, long_ago = tmp_path / "limner.db", time.monotonic() - 2 * sqlite.BUSY_TIMEOUT_S
    database = Database.open(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="busy"), database.begin(long_ago):
            pass
        with database.read(long_ago) as conn:  # readers pass a writer
            assert conn.execute(text("SELECT 1")).scalar() == 1
    with database.begin(long_ago) as conn:
        assert conn.execute(text("SELECT 1")).scalar() == 1
    database.close()


@pytest.mark.timeout(15)
def test_a_writer_behind_others_of_its_process_gives_up_in_time_and_the_rest_go_on(tmp_path):
    database, written = Database.open(f"sqlite:///{tmp_path / 'limner.db'}"), []

    def write(asked_at):
        with database.begin(asked_at):
            written.append(asked_at)

    with ThreadPoolExecutor(3) as threads:
        with database.begin():
            late = threads.submit(write, time.monotonic() - 2 * sqlite.BUSY_TIMEOUT_S)
            with pytest.raises(DatabaseUnavailable, match="busy"):
                late.result()
            others = [threads.submit(write, None) for _ in range(2)]
        for other in others:
            other.result()
    database.close()
    assert written == [None, None]


def test_writers_of_one_process_take_turns_in_order(tmp_path):
    database, order = Database.open(f"sqlite:///{tmp_path / 'limner.db'}"), []

    def write(number):
        with database.begin():
            order.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    with database.begin():
        for number, thread in enumerate(threads):
            thread.start()
            while len(database._turn._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    database.close()
    assert order == list(range(8))


def test_sqlite_commits_survive_a_power_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "prepare", hasty.prepare)
    database = Database.open(f"sqlite:///{tmp_path / 'limner.db'}")
    with database.begin() as conn:
        assert conn.execute(text("PRAGMA synchronous")).scalar() == 2
        assert conn.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()
    with closing(sqlite3.connect(tmp_path / "limner.db")) as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_database_that_went_away_is_said_to_be_unavailable(database):
    with pytest.raises(DatabaseUnavailable), database.begin() as conn:  # noqa: PT012
        if conn.dialect.name == "sqlite":
            raise OperationalError("", {}, sqlite_error("SQLITE_FULL"))
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with database.begin() as conn:
        assert conn.execute(select(accounts.c.id)).first() is not None


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_mistake_in_sql_is_not_taken_for_the_databases_trouble(database):
    with pytest.raises(OperationalError), database.read() as conn:
        conn.execute(text("SELECT nothing FROM nowhere"))


def sqlite_error(name):
    error = sqlite3.OperationalError(name)
    error.sqlite_errorname = name
    return error


def test_a_full_pool_is_said_to_be_unavailable(url, monkeypatch):
    monkeypatch.setattr(troubles, "POOL_WAIT_S", 0.05)
    database = Database.open(url, pool_size=1)
    with database.read(), pytest.raises(DatabaseUnavailable, match=r"for 0\.05 s"):
        database.read().__enter__()
    database.close()


def test_a_file_that_is_no_database_ends_the_start_with_a_sentence(tmp_path):
    (tmp_path / "limner.db").write_bytes(b"not what SQLite writes, " * 1000)
    with pytest.raises(SettingsError, match=r"cannot be opened: file is not a database"):
        Database.open(f"sqlite:///{tmp_path / 'limner.db'}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/d", "Connection refused"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:port/d", "cannot be read"),
        ("sqlite:////proc/none/limner.db", "cannot be opened"),
    ],
)
def test_where_nothing_answers_the_start_ends_with_a_sentence(url, said):
    with pytest.raises(SettingsError, match=said) as caught:
        Database.open(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
