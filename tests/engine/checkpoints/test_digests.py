"""Sums are those of sha256sum, and remembered exactly as long as the file is the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from limner.engine.checkpoints import digests


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was read in full."""
    seen: list[Path] = []
    compute = digests.compute

    def noting(path: Path) -> str:
        seen.append(path)
        return compute(path)

    monkeypatch.setattr(digests, "compute", noting)
    return seen


def test_a_sum_is_computed_once(tmp_path: Path, reads: list[Path]) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache" / "sums.json"
    file.write_bytes(b"abc")
    for _ in range(3):
        assert digests.sha256(file, cache) == hashlib.sha256(b"abc").hexdigest()
    assert reads == [file]


def test_a_changed_file_is_summed_again(tmp_path: Path, reads: list[Path]) -> None:
    file, cache = tmp_path / "a", tmp_path / "sums.json"
    file.write_bytes(b"abc")
    digests.sha256(file, cache)
    stat = file.stat()
    file.write_bytes(b"xyz")  # same length; only the time tells
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert digests.sha256(file, cache) == hashlib.sha256(b"xyz").hexdigest()
    assert len(reads) == 2


@pytest.mark.parametrize("junk", ["", "[]", '{"x": 1}', '{"x": ["a"]}', "\0"])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, junk: str) -> None:
    file, cache = tmp_path / "a", tmp_path / "sums.json"
    file.write_bytes(b"abc")
    cache.write_text(junk)
    assert digests.sha256(file, cache) == hashlib.sha256(b"abc").hexdigest()


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert digests.sha256(file, file / "sums.json") == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_has_the_sum_of_sha256sums_lines(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    files = {"a.json": b"{}", "b/c.bin": b"weights"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    lines = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in sorted(files.items()))
    found = digests.folder_sha256(tmp_path, [tmp_path / n for n in reversed(files)], tmp_path / "s")
    assert found == hashlib.sha256(lines.encode()).hexdigest()
