"""What ``limner serve`` does before it serves."""

import threading

from limner.cli import serving
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from tests.store.databases import empty_sqlite, postgres_url, tmp_path, url

__all__ = ["empty_sqlite", "postgres_url", "tmp_path", "url"]


def test_of_several_that_start_at_once_one_makes_the_first_keys(url, tmp_path):
    settings = Settings(database_url=url, data_dir=tmp_path)
    opened = [Database.open(url) for _ in range(4)]
    together, made = threading.Barrier(len(opened)), []

    def start(database):
        together.wait()
        made.append(serving._first_key(settings, database))
        serving.open_local(settings, database)

    threads = [threading.Thread(target=start, args=[database]) for database in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened[0].read() as conn:
        assert sorted(key.name for key in keys.listing(conn)) == ["first", "local"]
    assert made.count(None) == 3
    for database in opened:
        database.close()
