"""What every place for files must do: a new one is a row in ``PLACES``."""

import os
import threading
import time
from contextlib import ExitStack
from functools import cache

import pytest

from limner.errors import NotFound
from limner.store.files import key_of
from limner.store.files.local import LocalFiles
from limner.store.files.objects import ObjectFiles, reach
from tests.store.databases import tmp_path
from tests.store.files.bucket import Bucket, s3_server
from tests.store.files.memory import MemoryFiles

__all__ = ["tmp_path"]

KEY = "ab/pic_abcdef.png"


class OnDisk:
    """Local files, and how to let time pass for one of them."""

    def __init__(self, folder, _):
        self.files = LocalFiles(folder)
        self._folder = folder

    def age(self, key, seconds):
        moment = time.time() - seconds
        os.utime(self._folder / key, (moment, moment))


class InMemory:
    def __init__(self, *_):
        self.files = MemoryFiles()

    def age(self, key, seconds):
        self.files.written_at[key] -= seconds


class InBucket:
    def __init__(self, _, endpoint):
        bucket = Bucket(endpoint()[0])
        self.files = ObjectFiles(reach(bucket.url))
        self.age = bucket.age


PLACES = [OnDisk, InMemory, pytest.param(InBucket, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def endpoint():
    """Starts the S3 server where it is asked for, once."""
    with ExitStack() as servers:
        yield cache(lambda: servers.enter_context(s3_server()))


@pytest.fixture(params=PLACES)
def place(request, tmp_path, endpoint):
    return request.param(tmp_path / "deep" / "pictures", endpoint)


@pytest.fixture
def files(place):
    return place.files


def test_a_key_is_a_shelf_and_a_name():
    assert key_of("pic_abcdef.png") == KEY
    assert key_of("src_0f12.npz") == "0f/src_0f12.npz"


@pytest.mark.parametrize("data", [b"", b"\x00" * 3, bytes(range(256)) * 5000])
def test_what_is_written_is_read(files, data):
    files.write(KEY, data)
    assert files.read(KEY) == data
    assert list(files.older_than(-10)) == [KEY]


def test_what_is_not_there_is_not_found(files):
    files.write("ab/pic_abcdee.png", b"another")
    with pytest.raises(NotFound, match="picture pic_abcdef is missing: it is n"):
        files.read(KEY)
    assert not files.exists(KEY)


def test_deleted_is_gone_and_may_be_deleted_again(files):
    files.write(KEY, b"bytes")
    files.write("ab/pic_abcdee.png", b"another")
    assert files.exists(KEY)
    files.delete(KEY)
    files.delete(KEY)
    assert not files.exists(KEY)
    with pytest.raises(NotFound):
        files.read(KEY)
    assert files.read("ab/pic_abcdee.png") == b"another"
    files.write(KEY, b"anew")
    assert files.read(KEY) == b"anew"


def test_a_written_file_never_changes(files):
    files.write(KEY, b"first")
    files.write(KEY, b"second")
    assert files.read(KEY) == b"first"
    assert len(list(files.older_than(-10))) == 1


def test_the_old_are_found_and_the_young_are_not(place, files):
    files.write(KEY, b"bytes")
    files.write("cd/src_cdef.npz", b"more bytes")
    place.age(KEY, 7200)
    assert list(files.older_than(3600)) == [KEY]
    assert list(files.older_than(7300)) == []


def test_a_listing_bears_deletions(place, files):
    keys = [key_of(f"pic_{number:04x}.png") for number in range(40)]
    for key in keys:
        files.write(key, b"bytes")
        place.age(key, 100)
    found = set()
    for key in files.older_than(50):
        files.delete(key)
        found.add(key)
    assert found == set(keys)
    assert list(files.older_than(-10)) == []


def test_a_link_names_one_file_or_there_is_none(files):
    files.write(KEY, b"bytes")
    links = {key: files.link(key, 60.0) for key in (KEY, "ab/pic_abcdee.png")}
    assert set(links.values()) == {None} or (
        len(set(links.values())) == 2
        and all(link.startswith(("https://", "http://127.0.0.1:")) for link in links.values())
    )


def test_a_reader_never_sees_half_a_file(files):
    keys, data = [key_of(f"pic_{number:04x}.png") for number in range(40)], b"a" * 300_000
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.update(len(files.read(key)) for key in keys if files.exists(key))

    reader = threading.Thread(target=read)
    reader.start()
    for key in keys:
        files.write(key, data)
    stop.set()
    reader.join()
    read_all = {len(files.read(key)) for key in keys}
    assert seen <= {len(data)} == read_all


def test_writers_of_one_key_do_not_disturb_each_other(files):
    threads = [threading.Thread(target=files.write, args=(KEY, b"x" * 50_000)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(files.older_than(-10)) == [KEY]
    assert files.read(KEY) == b"x" * 50_000
