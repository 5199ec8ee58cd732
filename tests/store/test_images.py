"""Picture files: whole or not at all."""

import os
import threading

import pytest

from limner.errors import NotFound
from limner.store.images import PictureFiles


@pytest.fixture
def files(tmp_path):
    return PictureFiles(tmp_path / "deep" / "pictures")


def test_written_read_deleted(files):
    name = files.write("pic_abcdef.png", b"bytes")
    assert name == "ab/pic_abcdef.png"
    assert files.read(name) == b"bytes"
    files.delete(name)
    files.delete(name)
    with pytest.raises(NotFound, match="pic_abcdef"):
        files.read(name)


def test_a_failed_write_leaves_nothing(files, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write("pic_abcdef.png", b"bytes")
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []


def test_a_reader_never_sees_half_a_file(files):
    old, new = b"a" * 300_000, b"b" * 300_000
    name = files.write("pic_abcdef.png", old)
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(files.read(name))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        files.write("pic_abcdef.png", new)
        files.write("pic_abcdef.png", old)
    stop.set()
    reader.join()
    assert seen <= {old, new}


def test_old_files_are_found_temporary_ones_included(files):
    name = files.write("pic_abcdef.png", b"bytes")
    (files.folder / "ab" / ".left_by_a_crash").write_bytes(b"half")
    assert sorted(files.older_than(-10)) == ["ab/.left_by_a_crash", name]
    assert list(files.older_than(60)) == []
