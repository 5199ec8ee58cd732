from tests.store.databases import database, empty_sqlite, postgres_url, tmp_path, url

__all__ = ["database", "empty_sqlite", "postgres_url", "tmp_path", "url"]
