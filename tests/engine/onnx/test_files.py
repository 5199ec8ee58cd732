"""ONNX files: read without onnxruntime, opened and run with it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from limner.engine.onnx import files, headers
from limner.errors import CheckpointError
from tests.engine.onnx import made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return made.doubled(tmp_path / "twice.onnx")


def test_the_header_tells_what_onnxruntime_tells(file: Path) -> None:
    graph, session = headers.read(file), onnxruntime.InferenceSession(file)
    (taken,), (given_,) = session.get_inputs(), session.get_outputs()
    assert graph.inputs == (headers.Port(taken.name, "float32", (None, 3)),)
    assert graph.outputs == (headers.Port(given_.name, "float32", (None, 3)),)
    assert graph.metadata == session.get_modelmeta().custom_metadata_map == {"author": "Ann"}


def test_weights_that_are_named_among_the_inputs_are_none(tmp_path: Path) -> None:
    """As files of old converters have them."""
    node = helper.make_node("Mul", ["x", "two"], ["y"])
    inputs = {"x": [1, 3], "two": [1]}
    path = made.saved(tmp_path / "a.onnx", [node], inputs, {"y": [1, 3]}, {"two": np.float32([2])})
    assert [each.name for each in headers.read(path).inputs] == ["x"]
    assert files.opened(path).run({"x": np.float32([[1, 2, 3]])})[0].tolist() == [[2, 4, 6]]


def test_a_network_gives_what_onnxruntime_gives(file: Path) -> None:
    x = np.random.default_rng(0).random((5, 3), np.float32)
    session = files.opened(file)
    assert session.bytes == file.stat().st_size
    (ours,) = session.run({session.inputs[0].name: x})
    (theirs,) = onnxruntime.InferenceSession(file).run(None, {"x": x})
    np.testing.assert_array_equal(ours, theirs)


def test_arrays_that_do_not_fit_are_refused_by_name(file: Path) -> None:
    session = files.opened(file)
    with pytest.raises(CheckpointError, match=r"^twice\.onnx does not run: .+\.$"):
        session.run({"x": np.zeros((5, 4), np.float32)})
    with pytest.raises(CheckpointError, match=r"^twice\.onnx does not run"):
        session.run({"x": np.zeros((5, 3), np.float64)})


def test_what_is_not_finite_is_refused(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^twice\.onnx gives numbers that are not finite"):
        files.opened(file).run({"x": np.float32([[np.nan, 1, 2]])})


def test_without_onnxruntime_a_sentence_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    files._runtime.cache_clear()
    try:
        assert not files.available()
        with pytest.raises(CheckpointError, match=r"pip install 'limner\[onnx\]'"):
            files.opened(file)
        assert headers.read(file).inputs, "what a file is needs no onnxruntime"
    finally:
        files._runtime.cache_clear()


def test_weights_in_another_file_are_refused(file: Path, tmp_path: Path) -> None:
    """Such a file names any path of this machine."""
    model = onnx.load(file)
    onnx.save_model(
        model, tmp_path / "apart.onnx", save_as_external_data=True, size_threshold=0,
        location="weights.bin",
    )  # fmt: skip
    for read in (headers.read, files.opened):
        with pytest.raises(CheckpointError, match=r"^apart\.onnx .*weights lie in another file"):
            read(tmp_path / "apart.onnx")


def test_an_operator_that_nobody_has_is_told(tmp_path: Path) -> None:
    node = helper.make_node("Enchant", ["x"], ["y"], domain="com.example")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(
        helper.make_graph([node], "graph", [x], [y]), opset_imports=opsets, ir_version=9
    )
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"^a\.onnx cannot be opened: .*Enchant"):
        files.opened(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"", b"no protocol buffer", bytes(64), b"\xff" * 64])
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^a\.onnx is no ONNX file"):
        headers.read(tmp_path / "a.onnx")


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^gone\.onnx cannot be read"):
        headers.read(tmp_path / "gone.onnx")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(file: Path, data: st.DataObject) -> None:
    whole = made.doubled(file).read_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    place = data.draw(st.integers(0, max(0, len(cut) - 1)))
    damaged = cut[:place] + bytes([data.draw(st.integers(0, 255))]) + cut[place + 1 :]
    file.write_bytes(damaged)
    try:
        headers.read(file)
    except CheckpointError as error:
        assert str(error).startswith("twice.onnx ")  # noqa: PT017


def test_too_many_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "FIELDS_MAX", 1000)
    (tmp_path / "a.onnx").write_bytes(b"\x08\x01" * 1001)
    with pytest.raises(CheckpointError, match="over 1,000 parts"):
        headers.read(tmp_path / "a.onnx")
