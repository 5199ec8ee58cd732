import pytest

from tests.store.databases import database, empty_sqlite, postgres_url, tmp_path, url

__all__ = ["database", "empty_sqlite", "postgres_url", "tmp_path", "url"]


def pytest_itemcollected(item):
    """What is proved on SQLite, with SQL that other tests run on PostgreSQL, is slow there."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if params.get("url") == "postgresql" and item.get_closest_marker("rarely_postgresql"):
        item.add_marker(pytest.mark.slow)
