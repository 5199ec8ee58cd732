"""Files of pictures move to another place, whole, once, and as far as they are there."""

import asyncio

import pytest

from limner.errors import NotFound
from limner.store import images
from limner.store.files.local import LocalFiles
from limner.usecases.pictures import moving
from tests.store.databases import customer
from tests.store.files.memory import MemoryFiles
from tests.usecases.services import order, started


@pytest.fixture
def drawn(database, tmp_path):
    """Three stored pictures, by their keys."""
    key = customer(database)

    async def story():
        async with started(database, tmp_path) as generate:
            return [await generate.run(key, order(seed=seed)) for seed in range(3)]

    asyncio.run(story())
    disk = LocalFiles(tmp_path / "pictures")
    return disk, {name: disk.read(name) for name in sorted(disk.older_than(-10))}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_all_come_over_and_leave_the_disk(database, drawn):
    (disk, files), bucket, told = drawn, MemoryFiles(), []
    bucket.write(next(iter(files)), next(iter(files.values())))  # a move that was broken off
    moved = moving.move(database, disk, bucket, keep=False, tell=told.append)
    assert (moved.files, moved.already, moved.missing) == (2, 1, ())
    assert moved.bytes == sum(len(data) for data in list(files.values())[1:])
    assert {name: bucket.read(name) for name in files} == files
    assert list(disk.older_than(-10)) == []
    assert told == [1, 2, 3]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_deleted_meanwhile_is_not_missed(database, drawn, monkeypatch):
    (disk, files), bucket = drawn, MemoryFiles()
    gone, read = next(iter(files)), disk.read

    def late(name):
        if name == gone:
            with database.begin() as conn:
                images.remove(
                    conn, [row.id for row in images.all_pictures(conn) if row.file == name]
                )
            disk.delete(name)
        return read(name)

    monkeypatch.setattr(disk, "read", late)
    moved = moving.move(database, disk, bucket, keep=True, tell=lambda _: None)
    assert (moved.files, moved.already, moved.missing) == (2, 0, ())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_kept_files_stay_and_missing_ones_are_named(database, drawn):
    (disk, files), bucket = drawn, MemoryFiles()
    gone, *rest = files
    disk.delete(gone)
    moved = moving.move(database, disk, bucket, keep=True, tell=lambda _: None)
    assert (moved.files, moved.missing) == (2, (gone,))
    assert [disk.exists(name) for name in rest] == [True, True]
    with pytest.raises(NotFound):
        bucket.read(gone)
