"""Short hashes, by reading files as safetensors' page describes them."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from limner.engine.checkpoints import short_hashes
from tests.models import files


def test_a_loras_is_of_its_bytes_behind_the_header(tmp_path: Path) -> None:
    path = files.lora(tmp_path / "a.safetensors", ss_network_dim="8")
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert short_hashes.short_hash(path) == hashlib.sha256(data[8 + length :]).hexdigest()[:12]
    other = files.lora(tmp_path / "b.safetensors", ss_network_dim="16")
    assert other.read_bytes() != data
    assert short_hashes.short_hash(other) == short_hashes.short_hash(path)


@pytest.mark.parametrize("said", ["0123456789AB" + "cd" * 26, "0123456789ab"])
def test_what_its_trainer_wrote_goes_first(tmp_path: Path, said: str) -> None:
    path = files.lora(tmp_path / "a.safetensors", sshs_model_hash=said)
    assert short_hashes.short_hash(path) == "0123456789ab"


def test_what_is_no_hash_is_not_believed(tmp_path: Path) -> None:
    odd = files.lora(tmp_path / "a.safetensors", sshs_model_hash="None")
    plain = files.lora(tmp_path / "b.safetensors")
    assert short_hashes.short_hash(odd) == short_hashes.short_hash(plain)


@pytest.mark.parametrize("size", [0x100000 - 1, 0x100000 + 5, 0x120000])
def test_the_old_hash_is_of_a_piece_of_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.ckpt"
    data = bytes(i * 31 % 251 for i in range(size))
    path.write_bytes(data)
    piece = data[1 << 20 : (1 << 20) + (1 << 16)]
    assert short_hashes.old_hash(path) == hashlib.sha256(piece).hexdigest()[:8]
