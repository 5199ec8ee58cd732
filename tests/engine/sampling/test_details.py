"""Boxes that a detector finds in a picture, against the same boxes given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.parts import Detail
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Drawn, Facts, Failed, Progress
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.detecting.resident import Detectors
from limner.engine.sampling.runner import Runner
from limner.errors import InvalidInput
from tests.engine.detecting import making
from tests.engine.factories import read_given, submit
from tests.engine.sampling.test_footprint import arrays_in
from tests.engine.sampling.test_judged import alone, draw, request
from tests.waiting import wait_until

Seek = Callable[..., Detail]
SIZE = {"width": 128, "height": 96, "steps": 4}
BOX = Detail(box=(0.0, 0.0, 0.3, 0.5), steps=6, guidance=1.0, blur=0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("detector") / "blocks.onnx"
    return path, making.yolo(path)


@pytest.fixture(scope="module")
def engine(squire: Checkpoint, file: tuple[Path, str]) -> Iterator[ThreadEngine]:
    def runner(*_: Any) -> Runner:
        return Runner(squire, max_rows=64, find=lambda _: file[0])

    made = ThreadEngine(runner, read=read_given)
    wait_until(lambda: made.status().ready)
    yield made
    made.close()


@pytest.fixture
def seek(file: tuple[Path, str]) -> Seek:
    def make(**fields: Any) -> Detail:
        own = {"threshold": 0.02, "prompt": "a dragon", "strength": 0.75, "padding": 8}
        return Detail(detector="blocks", detector_sha256=file[1], **own | fields)

    return make


def facts(asked: Request) -> Facts:
    events = asked.sink.events  # type: ignore[attr-defined]
    return next(each.facts for each in events if isinstance(each, Drawn))


def counts(asked: Request) -> list[int]:
    events = asked.sink.events  # type: ignore[attr-defined]
    return [each.evaluation for each in events if isinstance(each, Progress)]


@pytest.mark.slow
def test_found_boxes_are_drawn_as_given_ones(
    engine: ThreadEngine, file: tuple[Path, str], seek: Seek
) -> None:
    asked = request("a red castle", **SIZE, details=(seek(max=3), BOX))
    made, _ = draw(engine, asked, request("a castle", width=128, height=128, steps=9))
    [first] = draw(engine, request("a red castle", **SIZE))
    found = tuple(Detectors(lambda _: file[0]).details(seek(max=3), first))
    assert found, "the picture has some colour"
    assert facts(asked).details == (*found, BOX)
    given = request("a red castle", **SIZE, details=(*found, BOX))
    assert np.array_equal(draw(engine, given)[0], made)
    assert not np.array_equal(first, made)
    assert facts(given).details is None, "nothing was looked for"
    assert counts(asked)[-1] == facts(asked).evaluations == facts(given).evaluations
    assert np.array_equal(alone(engine, asked), made)


def test_all_detectors_look_before_any_box_is_drawn(engine: ThreadEngine, seek: Seek) -> None:
    """So what one finds does not depend on what the others had drawn."""
    none = seek(classes=(9,), width=64, height=64)
    asked = request("a red castle", **SIZE, details=(none, BOX, seek(max=1), none))
    [made] = draw(engine, asked)
    plain = request("a red castle", **SIZE, details=(seek(max=1),))
    draw(engine, plain)
    assert facts(asked).details == (BOX, *(facts(plain).details or ()))
    again = request("a red castle", **SIZE, details=facts(asked).details)
    assert np.array_equal(draw(engine, again)[0], made)


def test_they_look_at_the_picture_of_the_last_pass_before(engine: ThreadEngine, seek: Seek) -> None:
    """With hires at the larger one, of which boxes are drawn."""
    hires = {"width": 192, "height": 144, "upscaler": "Lanczos", "strength": 0.5}
    asked = request("a red castle", **SIZE, hires=hires, details=(seek(max=2),))
    [made] = draw(engine, asked)
    given = request("a red castle", **SIZE, hires=hires, details=facts(asked).details)
    assert np.array_equal(draw(engine, given)[0], made)
    assert made.shape == (144, 192, 3)


def test_where_nothing_is_found_the_picture_is_as_without(engine: ThreadEngine, seek: Seek) -> None:
    asked = request("a red castle", **SIZE, samples=2, details=(seek(threshold=1.0),))
    plain = request("a red castle", **SIZE, samples=2)
    [made], [expected] = draw(engine, asked), draw(engine, plain)
    assert np.array_equal(made, expected)
    assert facts(asked).details == ()
    told, same = facts(asked), facts(plain)
    assert (told.evaluations, told.rows) == (same.evaluations, same.rows)
    wait_until(lambda: engine.status().running == 0)


def test_a_file_that_fails_at_last_fails_its_picture_alone(
    squire: Checkpoint, tmp_path: Path, seek: Seek, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "blocks.onnx"
    making.yolo(path)
    made = ThreadEngine(
        lambda *_: Runner(squire, max_rows=64, find=lambda _: path), read=read_given
    )
    wait_until(lambda: made.status().ready)
    asked = request("a red castle", **SIZE, details=(seek(),))
    monkeypatch.setattr(Detectors, "details", _fails)
    submit(made, asked)
    [end] = asked.sink.wait(60.0)  # type: ignore[attr-defined]
    assert isinstance(end, Failed)
    assert draw(made, request("a castle", **SIZE))[0].shape == (96, 128, 3)
    made.close()


def _fails(*_: Any) -> None:
    raise InvalidInput("details.detector", "details.detector: its file is gone")


def test_nothing_holds_more_than_was_planned(
    squire: Checkpoint, file: tuple[Path, str], seek: Seek
) -> None:
    runner = Runner(squire, max_rows=8, find=lambda _: file[0])
    (image,) = runner.plan(request("a red castle", **SIZE, details=(seek(max=2), BOX)))
    (plain,) = runner.plan(request("a red castle", **SIZE, details=(BOX,)))
    network = runner.detectors.get(seek().file)  # type: ignore[arg-type]
    assert image.bytes - plain.bytes >= network.held
    assert (image.evaluations, image.enlarges) == (4 + 2 * 3 + 2, False)
    pixels = None
    while pixels is None:
        if image.enlarges:
            runner.enlarge(image)
        runner.prepare(image)
        while not image.phase_over:
            runner.step([image])
        held = sum(dict(arrays_in([image.state])).values())
        assert held <= image.bytes
        pixels = runner.advance(image)


def test_a_detector_that_is_no_file_is_told_before_anything_is_drawn(
    squire: Checkpoint, seek: Seek
) -> None:
    with pytest.raises(InvalidInput, match=r"^details\.detector: this engine knows no file"):
        Runner(squire, max_rows=8).plan(request("a", **SIZE, details=(seek(),)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "box is missing"),
        ({"box": (0, 0, 1, 1), "detector": "a"}, "detector finds boxes, and box names one"),
        ({"box": (0, 0, 1, 1), "max": 3}, "max finds boxes, and box names one"),
    ],
)
def test_a_detail_has_a_box_or_finds_some(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Detail(**fields)
