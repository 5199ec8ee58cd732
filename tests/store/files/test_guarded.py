"""A place that fails is a sentence, and remembered until it takes a file again."""

import errno

import pytest

from limner.errors import Damaged, NotFound, StorageUnavailable
from limner.store.files import GuardedFiles
from tests.store.files.broken import BrokenFiles
from tests.store.files.memory import MemoryFiles

KEY = "ab/pic_abcdef.png"


@pytest.fixture
def place():
    return BrokenFiles(MemoryFiles())


@pytest.fixture
def files(place):
    return GuardedFiles(place)


@pytest.mark.parametrize(
    ("work", "done"),
    [
        (lambda files: files.write(KEY, b"x"), "stored"),
        (lambda files: files.read(KEY), "read"),
        (lambda files: files.delete(KEY), "deleted"),
        (lambda files: files.exists(KEY), "looked for"),
        (lambda files: list(files.older_than(1)), "listed"),
        (lambda files: files.link(KEY, 60), "linked to"),
    ],
)
def test_every_fault_of_the_place_is_a_sentence(place, files, work, done):
    place.error = OSError(28, "No space left on device", "/srv/limner/pictures/ab/x")
    with pytest.raises(StorageUnavailable) as caught:
        work(files)
    assert str(caught.value) == f"Pictures cannot be {done} now: No space left on device"


def test_only_a_failed_write_keeps_from_drawing(place, files):
    place.error = OSError(errno.ESTALE, "Stale file handle")
    with pytest.raises(StorageUnavailable):
        files.read(KEY)
    files.expect_working()
    place.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(Damaged, match="picture pic_abcdef cannot be read from the server's disk"):
        files.read(KEY)
    files.expect_working()
    with pytest.raises(StorageUnavailable):
        files.write(KEY, b"x")
    with pytest.raises(StorageUnavailable, match="cannot be stored now: Input/output error"):
        files.expect_working()


def test_it_is_over_once_a_file_could_be_written(place, files, caplog):
    place.error = OSError(28, "No space left on device")
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            files.try_again()
    place.error = None
    files.try_again()
    files.expect_working()
    assert list(files.older_than(-10)) == []
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]


def test_what_is_no_fault_of_the_place_stays_what_it_is(files):
    with pytest.raises(NotFound):
        files.read(KEY)
