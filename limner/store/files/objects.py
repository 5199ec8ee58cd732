"""Files in a bucket of an object store: S3, Google Cloud Storage or Azure, through ``obstore``.

Credentials, region and endpoint come from the environment, under the names that the stores' own
tools use (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...).
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions, store
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store
from sqlalchemy import delete, select

from limner.errors import SettingsError
from limner.store.db import Database
from limner.store.files.protocol import missing
from limner.store.schema import folders
from limner.store.sql import insert_once

log = logging.getLogger(__name__)

_TYPES = {".png": "image/png"}
_CLIENT = {"timeout": "30s", "connect_timeout": "5s"}
_AGAIN: Any = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)},
}
_NO_BUCKET = "has no such bucket"
# What a store's own words mean, the first that is found in them.
_REASONS = (
    (_NO_BUCKET, ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")),
    ("says that our credentials have expired", ("ExpiredToken", "TokenRefreshRequired")),
    ("says that this machine's clock is wrong", ("RequestTimeTooSkewed", "RequestExpired")),
    ("is full", ("QuotaExceeded", "StorageFull", "QuotaLimit", "507 Insufficient Storage")),
)
# Where a store is that is not its maker's, the first that is set.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_CLOCK, _MARK = "clock", "database"  # keys without a shelf, which are nobody's pictures


class ObjectFiles:
    """``Files`` in ``bucket``; a key is a path within it. All servers of a database share one.

    A call that fails is made again for up to 45 s where that may help.
    """

    def __init__(self, bucket: ObjectStore) -> None:
        self._bucket = bucket

    def write(self, key: str, data: bytes) -> None:
        """Create the object; one that exists is left alone by the store itself where it can."""
        attributes = {
            "Content-Type": _TYPES.get(os.path.splitext(key)[1], "application/octet-stream"),
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        with _told():
            try:
                obstore.put(self._bucket, key, data, mode="create", attributes=attributes)
            except exceptions.AlreadyExistsError:
                return
            except exceptions.NotSupportedError:  # no If-None-Match: there may be a moment between
                if not self.exists(key):
                    obstore.put(self._bucket, key, data, attributes=attributes)

    def read(self, key: str) -> bytes:
        try:
            with _told():
                return bytes(obstore.get(self._bucket, key).bytes())
        except FileNotFoundError:
            raise missing(key, "not in the bucket of the pictures") from None

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError), _told():
            obstore.delete(self._bucket, key)

    def exists(self, key: str) -> bool:
        try:
            with _told():
                obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        return True

    def older_than(self, seconds: float) -> Iterator[str]:
        """By the store's own clock, which need not be ours."""
        with _told():
            limit = self._now() - timedelta(seconds=seconds)
            for batch in obstore.list(self._bucket):
                yield from (
                    each["path"]
                    for each in batch
                    if "/" in each["path"] and each["last_modified"] < limit
                )

    def link(self, key: str, seconds: float) -> str | None:
        if not isinstance(self._bucket, S3Store | GCSStore | AzureStore):
            return None
        with _told():
            return obstore.sign(self._bucket, "GET", key, timedelta(seconds=seconds))

    def _now(self) -> datetime:
        obstore.put(self._bucket, _CLOCK, b"", mode="overwrite")
        return obstore.head(self._bucket, _CLOCK)["last_modified"].astimezone(UTC)


def open_bucket(url: str, database: Database) -> ObjectFiles:
    """The bucket, or the part of one, that a ``s3://``, ``gs://`` or ``az://`` URL names.

    Raises ``SettingsError`` where it cannot be reached, or holds what another database knows: the
    sweeper of each would delete the pictures of the other.
    """
    try:
        bucket = reach(url)
        with _told():
            ours = _claim(bucket, database)
    except (exceptions.BaseError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"pictures is {url!r}, which cannot be used: {reason}") from error
    if not ours:
        raise SettingsError(
            f"pictures is {url!r}, which keeps the pictures of another database; give each "
            "database a bucket, or a prefix in one, of its own"
        )
    return ObjectFiles(bucket)


def reach(url: str) -> ObjectStore:
    """The bucket of a URL; nothing is asked of it yet. Raises ``BaseError`` or ``ValueError``."""
    plain = _endpoint(url.partition(":")[0]).startswith("http://")
    options: Any = {**_CLIENT, "allow_http": plain}
    return store.from_url(url, client_options=options, retry_config=_AGAIN)


def _endpoint(scheme: str) -> str:
    """Where the environment says that the store is; empty where it does not.

    Raises ``ValueError`` for what is no URL: at the first call ``obstore`` panics over it.
    """
    for name in _ENDPOINTS.get(scheme, ()):
        if found := os.environ.get(name):
            if not _is_place(found):
                raise ValueError(f"{name} is {found!r}; it must be http(s)://HOST[:PORT]")
            return found
    return ""


def _is_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.port != 0
        return known and bool(parts.hostname) and not any(map(str.isspace, url))
    except ValueError:  # brackets that do not close, a port beyond 65535
        return False


def _claim(bucket: ObjectStore, database: Database) -> bool:
    """Mark a bucket as this database's, in both, unless it is marked; whether it is ours."""
    mark = f"objects:{secrets.token_hex(16)}"
    with database.begin() as conn:
        known = set(conn.execute(select(folders.c.path)).scalars())
        insert_once(conn, folders, {"path": mark})
    try:
        obstore.put(bucket, _MARK, mark.encode(), mode="create")
    except exceptions.AlreadyExistsError:
        found = bytes(obstore.get(bucket, _MARK).bytes()).decode(errors="replace")
        with database.begin() as conn:
            conn.execute(delete(folders).where(folders.c.path == mark))
            return found in known | set(conn.execute(select(folders.c.path)).scalars())
    return True


@contextmanager
def _told() -> Iterator[None]:
    """An error of the store becomes an ``OSError`` that strangers may read; the log has it all.

    ``FileNotFoundError`` where there is no such object; a store answers with the same status
    where there is no bucket.
    """
    try:
        yield
    except (exceptions.BaseError, FileNotFoundError) as error:
        said = str(error).split("\n\n")[0]
        why = _reason(error, said)
        if isinstance(error, FileNotFoundError) and why != _NO_BUCKET:
            raise FileNotFoundError from error
        log.warning("the object store failed: %s", said)
        raise OSError(f"the object store {why}") from error


def _reason(error: Exception, said: str) -> str:
    for reason, signs in _REASONS:
        if any(sign in said for sign in signs):
            return reason
    if isinstance(error, exceptions.PermissionDeniedError):
        return "does not allow this to our credentials"
    if isinstance(error, exceptions.UnauthenticatedError):
        return "refuses our credentials"
    return "does not answer"
