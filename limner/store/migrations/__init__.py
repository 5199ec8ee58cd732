"""The history of the tables, applied by ``limner.store.db`` when a database is opened."""
