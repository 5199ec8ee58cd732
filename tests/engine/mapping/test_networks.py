"""Networks of depth and pose in small ONNX files: told by their shapes, and the maps they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from limner.engine.mapping.networks import Networks, load
from limner.engine.onnx import headers, kinds
from limner.errors import CheckpointError, InvalidInput
from limner.imaging.preprocessing import pose
from limner.usecases.preprocessing import Chosen
from tests.engine.onnx.made import saved

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def depth(path: Path, sides: Sequence[Any] = (96, 96), last: tuple[Any, ...] = ()) -> Path:
    """A network whose depth is the mean of what it is given of the colours."""
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=int(bool(last)))
    shape = [1, *last, *sides]
    return saved(path, [node], {"x": [1, 3, *sides]}, {"y": shape})


def fixed(path: Path, outputs: Sequence[Any], taken: Sequence[int], dtype: int = 1) -> Path:
    """A network that gives these arrays whatever it is given."""
    names = [f"y{number}" for number in range(len(outputs))]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], keepdims=0),
        helper.make_node("Mul", ["m", "zero"], ["z"]),
        *(helper.make_node("Add", [f"w{n}", "z"], [name]) for n, name in enumerate(names)),
    ]
    weights = {"zero": np.float32(0)} | {
        f"w{n}": np.float32(value) for n, value in enumerate(outputs)
    }
    shapes = {name: list(np.shape(v)) for name, v in zip(names, outputs, strict=True)}
    return saved(path, nodes, {"x": list(taken)}, shapes, weights, dtype=dtype)


def picture(width: int = 120, height: int = 80) -> Any:
    noise = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("last", [(), (1,)], ids=["planes", "channel"])
@pytest.mark.parametrize(
    ("sides", "given"),
    [((96, 64), (64, 96)), (("h", "w"), (672, 448))],
    ids=["fixed", "open"],
)
def test_depth_is_what_onnxruntime_gives_from_black_to_white(
    tmp_path: Path, sides: Sequence[Any], given: tuple[int, int], last: tuple[int, ...]
) -> None:
    path, pixels = depth(tmp_path / "depth.onnx", sides, last), picture()
    made = load(path).make(pixels, {})
    resized = np.asarray(Image.fromarray(pixels).resize(given, Image.Resampling.BICUBIC))
    array = ((resized / np.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
    [theirs] = onnxruntime.InferenceSession(path).run(None, {"x": array.astype(np.float32)})
    plane = theirs.reshape(given[::-1])
    plane = (plane - plane.min()) / np.ptp(plane) * 255
    expected = Image.fromarray(plane).resize((120, 80), Image.Resampling.BICUBIC)
    assert made.shape == (80, 120, 3)
    assert np.abs(made[:, :, 0] - np.asarray(expected).clip(0, 255)).max() <= 0.51
    inverted = load(path).make(pixels, {"invert": 1})
    assert np.abs(255 - inverted.astype(int) - made).max() <= 1


def test_a_picture_without_depth_is_black(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    assert not load(depth(tmp_path / "depth.onnx")).make(pixels, {}).any()


# A person in a frame of 192 x 256, by COCO's points; the last is not seen.
PERSON = np.array([[40 + 6 * n, 30 + 11 * n, 0.9] for n in range(16)] + [[0, 0, 0.1]])
WIDTH, HEIGHT = 192, 256


def expected(people: Sequence[Any], scale: float = 1.0) -> Any:
    """What is drawn of people by COCO's points: OpenPose's order, a neck between the shoulders."""
    order = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
    drawn = []
    for person in people:
        sure = [(x * scale, y * scale) if s >= 0.3 else None for x, y, s in person]
        neck = tuple((a + b) / 2 for a, b in zip(sure[5], sure[6], strict=True))
        drawn.append([neck if at is None else sure[at] for at in order])
    return pose.draw(drawn, round(WIDTH * scale), round(HEIGHT * scale))


def simcc(person: Any) -> list[Any]:
    across, down = np.zeros((1, 17, 2 * WIDTH)), np.zeros((1, 17, 2 * HEIGHT))
    for number, (x, y, score) in enumerate(person):
        across[0, number, int(2 * x)] = down[0, number, int(2 * y)] = score
    return [across, down]


def heat(person: Any) -> list[Any]:
    planes = np.zeros((1, 17, HEIGHT // 2, WIDTH // 2))
    for number, (x, y, score) in enumerate(person):
        planes[0, number, int(y / 2), int(x / 2)] = score
    return [planes]


def yolo(person: Any) -> list[Any]:
    """The person, a weaker double of it, and somebody of whom nothing is sure."""
    boxes = np.zeros((56, 4))
    for column, score in enumerate((0.8, 0.6, 0.1)):
        boxes[:5, column] = (90, 120, 100, 200, score)
        boxes[5:, column] = (person + column).ravel()
    return [boxes[None]]


def yolo_sorted(person: Any) -> list[Any]:
    rows = np.zeros((1, 3, 57))
    rows[0, 0, :6] = (40, 20, 140, 220, 0.8, 0)
    rows[0, 0, 6:] = person.ravel()
    return [rows]


def shares(person: Any) -> Any:
    return person[:, (1, 0, 2)] / (HEIGHT, WIDTH, 1)


def movenet_several(person: Any) -> list[Any]:
    rows = np.zeros((1, 6, 56))
    rows[0, 0, :51], rows[0, 0, 55] = shares(person).ravel(), 0.8
    return [rows]


FORMS: dict[str, tuple[Callable[[Any], list[Any]], Sequence[int], int, float]] = {
    "SimCC": (simcc, (1, 3, HEIGHT, WIDTH), 1, 1.0),
    "heat": (heat, (1, 3, HEIGHT, WIDTH), 1, 1.0),
    "YOLO": (yolo, (1, 3, HEIGHT, WIDTH), 1, 0.0),
    "YOLO, sorted": (yolo_sorted, (1, 3, HEIGHT, WIDTH), 1, 0.0),
    "MoveNet": (lambda p: [shares(p)[None, None]], (1, HEIGHT, WIDTH, 3), 6, 0.0),
    "MoveNet of several": (movenet_several, (1, HEIGHT, WIDTH, 3), 6, 0.0),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_pose_is_drawn_where_the_network_finds_it(tmp_path: Path, form: str) -> None:
    make, taken, dtype, off = FORMS[form]
    path = fixed(tmp_path / "pose.onnx", make(PERSON), taken, dtype)
    assert kinds.kind_of(headers.read(path)) == "pose"
    for scale in (1, 2):
        pixels = np.zeros((HEIGHT * scale, WIDTH * scale, 3), np.uint8)
        made = load(path).make(pixels, {}).astype(int)
        whole = expected([PERSON], scale).astype(int)
        differs = (np.abs(made - whole).max(2) > 2).mean()
        assert differs <= (0.02 if off else 0.004), differs
        assert made.any()


def test_a_picture_of_other_proportions_is_seen_whole(tmp_path: Path) -> None:
    """It lies in the middle of the frame, and its points are found back."""
    path = fixed(tmp_path / "pose.onnx", yolo(PERSON), (1, 3, HEIGHT, WIDTH))
    made = load(path).make(np.zeros((HEIGHT, 2 * WIDTH, 3), np.uint8), {})
    knee = made[round(2 * (PERSON[13, 1] - 64)), round(2 * PERSON[13, 0])]
    assert tuple(knee) == pose.colour(12)
    hip = made[round(2 * (PERSON[11, 1] - 64)), round(2 * PERSON[11, 0])]
    assert tuple(hip) == pose.colour(11)


def test_less_sure_points_are_seen_where_that_is_asked_for(tmp_path: Path) -> None:
    person = PERSON.copy()
    person[15] = (100, 200, 0.2)
    network = load(fixed(tmp_path / "pose.onnx", yolo(person), (1, 3, HEIGHT, WIDTH)))
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert not network.make(pixels, {})[200, 100].any()
    assert tuple(network.make(pixels, {"threshold": 0.1})[200, 100]) == pose.colour(13)


def test_openposes_own_order_is_drawn_as_it_is(tmp_path: Path) -> None:
    planes = np.zeros((1, 19, 64, 48))
    at = [(2 * n + 3, 3 * n + 2) for n in range(18)]
    for number, (x, y) in enumerate(at):
        planes[0, number, y, x] = 1
    path = fixed(tmp_path / "pose.onnx", [planes], (1, 3, HEIGHT, WIDTH))
    made = load(path).make(np.zeros((HEIGHT, WIDTH, 3), np.uint8), {})
    people = [[((x + 0.5) * 4, (y + 0.5) * 4) for x, y in at]]
    np.testing.assert_array_equal(made, pose.draw(people, WIDTH, HEIGHT))


@pytest.mark.parametrize(
    ("shape", "taken", "kind"),
    [
        ((1, 84, 8400), (1, 3, 640, 640), "detector"),
        ((1, 300, 6), (1, 3, 640, 640), "detector"),
        ((1, 1000), (1, 3, 224, 224), "onnx"),
        ((1, 3, 512, 512), (1, 3, 256, 256), "onnx"),
        ((1, 518, 518), (1, 3, 518, 518), "depth"),
        ((1, 1, 518, 518), (1, 3, 518, 518), "depth"),
        ((1, 1, 518, 518), (1, 1, 518, 518), "onnx"),
        ((1, 133, 64, 48), (1, 3, 256, 192), "pose"),
    ],
)
def test_what_a_file_is_follows_from_shapes(
    tmp_path: Path, shape: Sequence[int], taken: Sequence[int], kind: str
) -> None:
    path = saved(
        tmp_path / "a.onnx",
        [helper.make_node("ConstantOfShape", ["s"], ["c"]),
         helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
         helper.make_node("Add", ["c", "m"], ["y"])],
        {"x": list(taken)}, {"y": list(shape)}, {"s": np.int64(shape)},
    )  # fmt: skip
    assert kinds.kind_of(headers.read(path)) == kind


def test_what_makes_no_maps_is_refused(tmp_path: Path) -> None:
    path = fixed(tmp_path / "a.onnx", [np.zeros((1, 84, 20))], (1, 3, 64, 64))
    with pytest.raises(CheckpointError, match=r"^a\.onnx makes no maps"):
        load(path)


def test_a_network_that_fails_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    """It says that it takes any size, and takes one."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Add", ["m", "w"], ["y"]),
    ]
    weights = {"w": np.zeros((1, 50, 50), np.float32)}
    path = saved(tmp_path / "a.onnx", nodes, {"x": [1, 3, "h", "w"]}, {"y": [1, "h", "w"]}, weights)
    with pytest.raises(CheckpointError, match=r"^a\.onnx does not run"):
        load(path)


def test_a_file_that_changed_is_not_used(tmp_path: Path) -> None:
    path = depth(tmp_path / "depth.onnx")
    networks = Networks(lambda _: path)
    with pytest.raises(InvalidInput, match="has changed since it was chosen"):
        networks.get(Chosen("depth", "0" * 64, "depth"))
