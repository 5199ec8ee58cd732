"""Detectors' files: opened, asked, refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from limner.domain.detectors import Detector
from limner.domain.parts import Detail
from limner.engine.detecting import resident
from limner.engine.detecting.resident import Detectors
from limner.engine.onnx import files, headers, kinds
from limner.errors import CheckpointError, InvalidInput
from tests.engine.detecting import making
from tests.engine.onnx import made


def scene() -> np.ndarray:
    """64 x 64 pixels, black: a red, a green and a blue block, and a dim red one."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[8:16, 16:24, 0] = 255
    pixels[32:40, 0:8, 1] = 204
    pixels[48:56, 56:64, 2] = 230
    pixels[0:8, 32:40, 0] = 128
    return pixels


EXPECTED = [  # the surest first
    ((0.25, 0.125, 0.125, 0.125), 0, 1.0),
    ((0.875, 0.75, 0.125, 0.125), 2, 230 / 255),
    ((0.0, 0.5, 0.125, 0.125), 1, 0.8),
    ((0.5, 0.0, 0.125, 0.125), 0, 128 / 255),
]


@pytest.fixture(params=["yolo", "end_to_end", "masks", "half"])
def detectors(request, tmp_path: Path) -> tuple[Detectors, str]:
    path = tmp_path / "blocks.onnx"
    make = making.end_to_end if request.param == "end_to_end" else making.yolo
    more = {request.param: True} if request.param in ("masks", "half") else {}
    sha256 = make(path, **more)
    return Detectors(lambda _: path), sha256


def seek(detectors: tuple[Detectors, str], **fields) -> list[Detail]:
    own, sha256 = detectors
    asked = Detail(detector="blocks", detector_sha256=sha256, prompt="a gem", **fields)
    return own.details(asked, scene())


def test_every_block_is_found_the_surest_first(detectors) -> None:
    found = seek(detectors, max=8)
    for detail, (box, kind, score) in zip(found, EXPECTED, strict=True):
        assert detail.box == pytest.approx(box)
        assert detail.prompt == "a gem"
        assert detail.found.class_id == kind
        assert detail.found.score == pytest.approx(score, abs=2e-3)
        assert (detail.found.detector, detail.found.sha256) == ("blocks", detectors[1])
        assert Detail.model_validate(detail.model_dump(mode="json")) == detail


def test_threshold_classes_and_max_leave_some_out(detectors) -> None:
    kinds_of = {
        name: [d.found.class_id for d in seek(detectors, **fields)]
        for name, fields in {
            "threshold": {"threshold": 0.6}, "classes": {"classes": (0,)}, "max": {"max": 2},
            "none": {"classes": (7,)},
        }.items()
    }  # fmt: skip
    assert kinds_of == {"threshold": [0, 2, 1], "classes": [0, 0], "max": [0, 2], "none": []}


def test_a_file_that_leaves_its_size_open_is_given_640(tmp_path: Path) -> None:
    nodes, weights = making._scores(640)
    outputs = {"mean": [1, 3, "h", "w"]}
    path = made.saved(tmp_path / "open.onnx", nodes[:2], {"x": [1, 3, "h", "w"]}, outputs, weights)
    assert resident._side(files.opened(path)) == (640, 640)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ([1, 4, 64, 64], "it takes float32 of 1x4x64x64, and a picture is 1x3xHxW"),
        ([1, 3, 64], "it takes float32 of 1x3x64"),
        ([1, 3, 8, 64], "takes pictures of 64x8; a detector's have 32 to 2048 a side"),
        ([1, 3, 4096, 64], "takes pictures of 64x4096"),
        ([1, 3, 64, 64], r"gives an array of 1x3x64x64; a detector gives"),
    ],
)
def test_what_is_no_detector_is_told(tmp_path: Path, shape: list[int], sentence: str) -> None:
    node = made.helper.make_node("Identity", ["x"], ["y"])
    path = made.saved(tmp_path / "same.onnx", [node], {"x": shape}, {"y": shape})
    with pytest.raises(CheckpointError, match=rf"^same\.onnx .*{sentence}"):
        resident.load(path)


def test_a_file_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    nodes = [made.helper.make_node("Div", ["x", "none"], ["y"])]
    path = made.saved(
        tmp_path / "nan.onnx", nodes, {"x": [1, 3, 64, 64]}, {"y": [1, 3, 64, 64]},
        {"none": np.float32([0])},
    )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"^nan\.onnx gives numbers that are not finite"):
        resident.load(path)


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blocks.onnx"
    making.yolo(path)
    with pytest.raises(InvalidInput, match=r"^details\.detector: the file of 'blocks' has changed"):
        Detectors(lambda _: path).get(Detector(name="blocks", sha256="ab" * 32))


def test_without_onnxruntime_a_sentence_says_what_to_install(tmp_path, monkeypatch) -> None:
    path = tmp_path / "blocks.onnx"
    named = Detector(name="blocks", sha256=making.yolo(path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    files._runtime.cache_clear()
    try:
        with pytest.raises(InvalidInput, match=r"^details\.detector: .*pip install 'limner\[onnx"):
            Detectors(lambda _: path).get(named)
    finally:
        files._runtime.cache_clear()


def test_what_a_file_is_tells_its_header(tmp_path: Path) -> None:
    for make in (making.yolo, making.end_to_end):
        make(tmp_path / "a.onnx")
        graph = headers.read(tmp_path / "a.onnx")
        assert (kinds.kind_of(graph), kinds.classes(graph)) == (
            "detector",
            "0 red, 1 green, 2 blue",
        )
    other = headers.read(made.doubled(tmp_path / "b.onnx"))
    assert (kinds.kind_of(other), kinds.classes(other)) == ("onnx", "")
