"""Files on a disk: what the contract leaves to it."""

import os
import stat

import pytest

from limner.errors import NotFound
from limner.store.db import Database
from limner.store.files import open_files
from limner.store.files.local import LocalFiles
from tests.store.databases import tmp_path

__all__ = ["tmp_path"]

KEY = "ab/pic_abcdef.png"


@pytest.fixture
def files(tmp_path):
    return LocalFiles(tmp_path)


def test_a_key_is_a_path_and_the_mode_is_the_processs(files, tmp_path):
    before = os.umask(0o027)
    try:
        files.write(KEY, b"bytes")
    finally:
        os.umask(before)
    assert (tmp_path / KEY).read_bytes() == b"bytes"
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o640


def test_a_failed_write_leaves_nothing(files, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(KEY, b"bytes")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_file_and_folder_are_synced_in_this_order(files, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle), _names())))

    def _names():
        return [path.name for path in (tmp_path / "ab").iterdir()]

    files.write(KEY, b"bytes")
    (of_file, before), (of_folder, after) = synced
    assert stat.S_ISREG(of_file.st_mode)
    assert of_file.st_size == 5
    assert before[0].startswith(".")
    assert stat.S_ISDIR(of_folder.st_mode)
    assert after == ["pic_abcdef.png"]


def test_what_a_crash_left_is_listed_too(files, tmp_path):
    files.write(KEY, b"bytes")
    (tmp_path / "ab" / ".left_by_a_crash").write_bytes(b"half")
    found = sorted(files.older_than(-10))
    assert found == ["ab/.left_by_a_crash", KEY]


def test_siblings_find_each_others_files(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path / 'limner.db'}")
    mine, theirs = (open_files(tmp_path / name, database) for name in ("mine", "theirs"))
    theirs.write(KEY, b"theirs")
    assert mine.read(KEY) == b"theirs"
    assert not mine.exists(KEY)  # a picture of ours is written here, and lives as long
    assert list(mine.older_than(-10)) == []
    mine.delete(KEY)
    with pytest.raises(NotFound, match="nor in one of its siblings'"):
        theirs.read(KEY)
    database.close()
