"""Files made to do harm, and files that change while they are read: a sentence each, no more."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from limner.engine.checkpoints import containers, pickles, raw
from limner.engine.checkpoints.containers import read_header, require_unchanged
from limner.engine.checkpoints.headers import Header
from limner.errors import CheckpointError

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"ctorch\nFloatStorage\n"
# Pickles in protocol 2: opcodes as https://docs.python.org/3/library/pickletools.html lists them.
HOSTILE: dict[str, bytes] = {
    "calls a shell's result": b"\x80\x02cevil\nrun\nX\x01\x00\x00\x00xX\x01\x00\x00\x00y\x86R)R.",
    "changes a function": b"\x80\x02" + REBUILD + b"}X\x05\x00\x00\x00_callK\x01sb.",
    "changes a class": b"\x80\x02cevil\nKind\n}X\x01\x00\x00\x00xK\x01sb.",
    "changes a type": b"\x80\x02" + STORAGE + b"}X\x05\x00\x00\x00dtypeK\x01sb.",
    "a label of two thousand millions": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a string of four thousand millions": b"\x80\x02X\xff\xff\xff\xff.",
    "ten thousand lists": b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a tensor without a storage": b"\x80\x02" + REBUILD + b"K\x01K\x00)))\x85R.",
    "an unknown id": b"\x80\x02X\x04\x00\x00\x00evilQ.",
    "an extension": b"\x80\x02\x82\x01.",
    "a name of four parts": b"\x80\x04\x8c\x02os\x8c\x0bpath.os.system\x93\x8c\x01x\x85R.",
    "an attribute of an attribute": b"\x80\x04\x8c\x05torch\x8c\x0cSize.__mro__\x93.",
}


def zipped(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return path


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_hostile_pickle_is_refused(tmp_path: Path, what: str, form: str) -> None:
    path = tmp_path / "odd.ckpt"
    if form == "zip":
        zipped(path, HOSTILE[what])
    else:
        path.write_bytes(
            pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
            + HOSTILE[what] + pickle.dumps([], 2)
        )  # fmt: skip
    functions = dict(pickles._FUNCTIONS)
    with pytest.raises(CheckpointError, match=r"odd\.ckpt"):
        read_header(path)
    assert functions == pickles._FUNCTIONS
    assert not vars(pickles.Shell).get("x")


def test_nothing_that_is_named_is_imported_or_called(tmp_path: Path) -> None:
    marker = tmp_path / "called"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    path = zipped(tmp_path / "odd.ckpt", b"\x80\x02cevil\nrun\n)R.")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with pytest.raises(CheckpointError, match="no dictionary of tensors"):
            read_header(path)
    assert not marker.exists()


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(junk=st.binary(max_size=60), at=st.integers(0, 400), data=st.data())
def test_a_broken_ckpt_never_raises_anything_else(
    tmp_path: Path, junk: bytes, at: int, data: st.DataObject
) -> None:
    path = tmp_path / "odd.ckpt"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    with contextlib.suppress(CheckpointError):
        read_header(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning", "ignore:TypedStorage")
def test_a_quantised_tensor_beside_is_left_aside(tmp_path: Path, zipped: bool) -> None:
    path, few = tmp_path / "odd.ckpt", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    content = {"a": torch.ones(2), "quantised": few}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_header(path).tensors
    assert raw.floats(found["a"]).tolist() == [1, 1]  # type: ignore[union-attr]
    assert set(found) == {"a"}


def test_tensors_that_reach_beyond_their_storage_are_refused(tmp_path: Path) -> None:
    for shape, strides, offset in (((3,), (1,), 0), ((2,), (2,), 0), ((2,), (1,), 1)):
        path = tmp_path / "odd.ckpt"
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
        whole = path.read_bytes()  # which holds the offset 0, the sizes (2,), the strides (1,)
        found = whole.index(b"K\x00K\x02\x85")
        changed = b"K" + bytes([offset]) + b"K" + bytes([shape[0]]) + b"\x85"
        whole = whole[:found] + changed + whole[found + len(changed) :]
        place = whole.index(b"K\x01\x85", found + len(changed))
        path.write_bytes(whole[:place] + b"K" + bytes([strides[0]]) + b"\x85" + whole[place + 3 :])
        with pytest.raises(CheckpointError, match="reaches beyond its numbers"):
            read_header(path)


def test_a_zip_that_was_compressed_or_is_another_is_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    torch.save({"a": torch.ones(200)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="compressed anew"):
        read_header(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(CheckpointError, match="zip archive, but not PyTorch's"):
        read_header(path)


# --- while it is read -------------------------------------------------------------------------


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrunk(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [(grown, "changed"), (shrunk, "changed|truncated"), (Path.unlink, "vanished|does not exist")],
)
def test_a_file_that_changes_while_its_header_is_read_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    words: str,
) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.ones(4)}, path)
    read = containers._read

    def late(path: Path, file: object) -> Header:
        found = read(path, file)  # type: ignore[arg-type]
        change(path)
        return found

    monkeypatch.setattr(containers, "_read", late)
    with pytest.raises(CheckpointError, match=words):
        read_header(path)


def test_a_file_that_changes_while_its_numbers_are_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.arange(4.0)}, path)
    found = read_header(path)
    assert raw.floats(found.tensors["a"]).tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    with pytest.raises(CheckpointError, match="changed while it was read"):
        require_unchanged(found)
    shrunk(path)
    with pytest.raises(CheckpointError, match="cut short while it was read"):
        raw.read(found.tensors["a"])
    path.unlink()
    with pytest.raises(CheckpointError, match="vanished"):
        raw.read(found.tensors["a"])
    with pytest.raises(CheckpointError, match="vanished"):
        require_unchanged(found)


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(CheckpointError, match="is not a file"):
            read_header(path)


def test_numbers_may_lie_anywhere(tmp_path: Path) -> None:
    """A header whose length is odd: nothing after it is aligned."""
    path = tmp_path / "odd.safetensors"
    text = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    assert len(text) % 2
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\x80\x3f\x00\xc0")
    assert raw.floats(read_header(path).tensors["a"]).tolist() == [1, -2]  # type: ignore[union-attr]
