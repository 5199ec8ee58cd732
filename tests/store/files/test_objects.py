"""Buckets that are gone, refuse us, fail now and then or belong to somebody else."""

import re
import threading

import httpx
import pytest
from obstore import exceptions
from obstore.store import MemoryStore

from limner.errors import SettingsError, StorageUnavailable
from limner.store.db import Database
from limner.store.files import objects, open_files
from limner.store.files.guarded import GuardedFiles
from limner.store.files.objects import ObjectFiles
from tests.store.databases import tmp_path
from tests.store.files.bucket import Bucket, s3_server

__all__ = ["tmp_path"]

KEY, OTHER = "ab/pic_abcdef.png", "cd/pic_cdefab.png"


@pytest.fixture(scope="module")
def server():
    with s3_server() as (endpoint, flaky):
        yield endpoint, flaky


@pytest.fixture
def bucket(server):
    return Bucket(server[0])


@pytest.fixture
def database(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path / 'limner.db'}")
    yield database
    database.close()


def test_a_place_that_cannot_sign_has_no_links():
    files = ObjectFiles(MemoryStore())
    files.write(KEY, b"first")
    files.write(KEY, b"second")
    assert (files.read(KEY), files.link(KEY, 60)) == (b"first", None)


def test_a_url_of_no_bucket_is_refused_at_the_start(database, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "")
    with pytest.raises(SettingsError, match=r"pictures is 's3://\?', which cannot be used: "):
        open_files("s3://?", database)


@pytest.mark.slow
def test_a_link_gives_the_file_as_it_is(bucket, database):
    files = open_files(bucket.url, database)
    files.write(KEY, b"bytes")
    answer = httpx.get(files.link(KEY, 60), timeout=60)
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


@pytest.mark.slow
def test_a_bucket_that_is_gone_is_no_missing_file(bucket, database):
    files = open_files(bucket.url, database)
    bucket.remove()
    for work in (
        lambda: files.write(KEY, b"x"),
        lambda: files.read(KEY),
        lambda: list(files.older_than(1)),
    ):
        with pytest.raises(OSError, match=r"^the object store has no such bucket$"):
            work()
    with pytest.raises(SettingsError, match="which cannot be used: the object store has no such"):
        open_files(bucket.url, database)


REFUSALS = [
    ("403 Forbidden", "AccessDenied", "does not allow this to our credentials"),
    ("400 Bad Request", "ExpiredToken", "says that our credentials have expired"),
    ("403 Forbidden", "RequestTimeTooSkewed", "says that this machine's clock is wrong"),
    ("403 Forbidden", "QuotaExceeded", "is full"),
    ("507 Insufficient Storage", "XMinioStorageFull", "is full"),
]


@pytest.mark.parametrize(("_", "code", "reason"), REFUSALS)
def test_what_a_store_says_becomes_a_sentence(_, code, reason):
    denied = code == "AccessDenied"
    kind = exceptions.PermissionDeniedError if denied else exceptions.GenericError
    with pytest.raises(OSError, match=f"^the object store {reason}$"), objects._told():
        raise kind(f"Error performing PUT: <Code>{code}</Code><Message>no</Message>")


@pytest.mark.slow
@pytest.mark.parametrize(("status", "code", "reason"), REFUSALS)
def test_a_bucket_that_takes_nothing_says_why(server, bucket, database, code, status, reason):
    files, (_, flaky) = GuardedFiles(open_files(bucket.url, database)), server
    files.write(KEY, b"before")
    flaky.writes = (status, code)
    try:
        with pytest.raises(StorageUnavailable, match=f"cannot be stored now: .* {reason}$"):
            files.write(OTHER, b"x")
        with pytest.raises(StorageUnavailable):
            files.expect_working()
        assert files.read(KEY) == b"before"
    finally:
        flaky.writes = None
    files.try_again()
    files.expect_working()


@pytest.mark.slow
def test_a_bucket_that_does_not_answer_in_time(server, bucket, database, monkeypatch):
    monkeypatch.setitem(objects._CLIENT, "timeout", "5s")  # of opening, too
    monkeypatch.setitem(objects._AGAIN, "max_retries", 0)
    files, (_, flaky) = open_files(bucket.url, database), server
    flaky.quiet = threading.Event()
    try:
        with pytest.raises(OSError, match=r"^the object store does not answer$"):
            files.write(KEY, b"x")
    finally:
        flaky.quiet.set()
        flaky.quiet = None


@pytest.mark.slow
def test_every_fifth_call_may_fail(server, bucket, database):
    files, (_, flaky) = open_files(bucket.url, database), server
    keys = [f"ab/pic_{number:02}.png" for number in range(20)]
    flaky.every = 5
    try:
        for key in keys:
            files.write(key, key.encode())
        assert [files.read(key) for key in keys] == [key.encode() for key in keys]
        assert sorted(files.older_than(-10)) == keys
        for key in keys[:10]:
            files.delete(key)
        assert [files.exists(key) for key in keys] == [False] * 10 + [True] * 10
    finally:
        flaky.every = 0


@pytest.mark.slow
def test_two_databases_share_no_bucket(bucket, database, tmp_path):
    open_files(bucket.url, database)
    open_files(bucket.url, database)  # another server on these pictures
    other = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        with pytest.raises(SettingsError, match="keeps the pictures of another database; give"):
            open_files(bucket.url, other)
        open_files(f"s3://{bucket.name}/other", other)
    finally:
        other.close()


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:9000", "http://", "http://a b", "http://[::1", "http://a:99999", "no"]
)
def test_an_endpoint_that_is_no_url_is_told_by_its_name(database, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    told = f"AWS_ENDPOINT_URL is {endpoint!r}; it must be http(s)://HOST[:PORT]"
    with pytest.raises(SettingsError, match=re.escape(told)):
        objects.open_bucket("s3://bucket/house", database)
