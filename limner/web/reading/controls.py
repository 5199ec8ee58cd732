"""The field ``controls``: which ControlNets and T2I-Adapters a request follows, and which maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from limner import pools
from limner.domain.controls import CONTROLS_MAX, MODES, WEIGHT_MAX, Control
from limner.domain.params import ResizeMode
from limner.engine.batching.ticket import Pixels
from limner.errors import InvalidInput
from limner.imaging.preprocessing import pose
from limner.web.reading import inputs, maps
from limner.web.reading.fields import Blob, Choice, Flag, Number, Reader, shown
from limner.web.reading.intake import Intake
from limner.web.reading.objects import NAMING, PICTURES_TEXT_MAX, TIMING, Objects

People = tuple[pose.Person, ...]


@dataclass(frozen=True)
class Wanted:
    """A control as a body asks for it, its map unread.

    The map is made of ``image``, or of the request's own where that is None, or drawn from
    ``people``, whose points are shares of the picture.
    """

    control: Control
    name: str = "controls.0"
    image: str | bytes | None = None
    people: People | None = None
    resize_mode: ResizeMode = "crop"
    options: Mapping[str, float] = field(default_factory=dict)


class Pose:
    """Keypoints: OpenPose's JSON, or a list of people, each of 18 points [x, y] or null.

    With a canvas's size the points are its pixels, without one they are shares of the picture.
    """

    def read(self, field: str, value: Any) -> People:
        """The people; raises ``InvalidInput`` naming what cannot be read."""
        canvas = (1.0, 1.0)
        if isinstance(value, dict):
            sides = Number(1, 100_000)
            canvas = tuple(  # type: ignore[assignment]
                sides.read(f"{field}.{name}", value.get(name, 0))
                for name in ("canvas_width", "canvas_height")
            )
            value = value.get("people")
        if not isinstance(value, list) or not 0 < len(value) <= pose.PEOPLE_MAX:
            raise InvalidInput(
                field,
                f"{field} is {shown(value)}; it must be a list of 1 to {pose.PEOPLE_MAX} people, "
                "or an object of people, canvas_width and canvas_height",
            )
        return tuple(
            _person(f"{field}.{place}", person, canvas) for place, person in enumerate(value)
        )

    def schema(self) -> dict[str, Any]:
        return {"description": "OpenPose's JSON, or a list of people, each of 18 [x, y] or null."}


def _person(field: str, value: Any, canvas: tuple[float, float]) -> pose.Person:
    flat = value.get("pose_keypoints_2d") if isinstance(value, dict) else value
    if isinstance(flat, list) and len(flat) == 3 * pose.POINTS:
        flat = [flat[3 * n : 3 * n + 3] for n in range(pose.POINTS)]
    if not isinstance(flat, list) or len(flat) != pose.POINTS:
        raise InvalidInput(
            field, f"{field} is {shown(value)}; it must be {pose.POINTS} points [x, y] or null"
        )
    return tuple(_point(f"{field}.{place}", each, canvas) for place, each in enumerate(flat))


def _point(field: str, value: Any, canvas: tuple[float, float]) -> pose.Point:
    """A share of the picture; None where it is not seen: null, or of confidence 0."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise InvalidInput(field, f"{field} is {shown(value)}; it must be [x, y] or null")
    numbers = [Number(-1e6, 1e6).read(field, number) for number in value]
    if len(numbers) == 3 and numbers[2] <= 0:
        return None
    return numbers[0] / canvas[0], numbers[1] / canvas[1]


READERS: Mapping[str, Reader] = {
    **NAMING,
    "image": Blob(),
    "weight": Number(0, WEIGHT_MAX),
    **TIMING,
    "guess": Flag(),
    "mode": Choice(tuple(MODES)),
    "preprocessor": maps.Name(),
    "options": maps.Options(),
    "pose": Pose(),
    "resize_mode": Choice(get_args(ResizeMode)),
}


def _made(field: str, given: dict[str, Any]) -> Wanted:
    if given.get("guess") and given.get("mode", "guess") != "guess":
        raise InvalidInput(
            f"{field}.mode", f"{field}.mode is {given['mode']}, but guess is a mode of its own"
        )
    if "pose" in given and ("image" in given or given.get("preprocessor", maps.NONE) != maps.NONE):
        raise InvalidInput(
            f"{field}.pose", f"{field}.pose is drawn as it is; leave out image and preprocessor"
        )
    named = {name: given[name] for name in (*NAMING, "weight", *TIMING) if name in given}
    preprocessor = chosen(given.get("preprocessor"))
    control = Control(
        **named,
        map_sha256=inputs.UNREAD,
        mode="guess" if given.get("guess") else given.get("mode", "balanced"),
        preprocessor="pose" if "pose" in given else preprocessor,
    )
    return Wanted(
        control,
        field,
        given.get("image"),
        given.get("pose"),
        given.get("resize_mode", "crop"),
        _options(f"{field}.options", preprocessor, given.get("options", {})),
    )


def _options(field: str, preprocessor: str | None, given: Mapping[str, Any]) -> Mapping[str, float]:
    """Those of a network are looked at with its file."""
    if maps.built_in(preprocessor):
        return maps.options(field, preprocessor, maps.known(preprocessor), given)
    return dict(given)


CONTROLS = Objects(READERS, CONTROLS_MAX, _made, text_max=PICTURES_TEXT_MAX)


def chosen(preprocessor: str | None) -> str | None:
    """A preprocessor, None for the word that stands for none."""
    return None if preprocessor == maps.NONE else preprocessor


def drawn(people: People, width: int, height: int) -> Pixels:
    """A pose whose points are shares of the picture."""
    points = [[p and (p[0] * width, p[1] * height) for p in person] for person in people]
    return pose.draw(points, width, height)


def unread(wanted: Sequence[Wanted]) -> tuple[Control, ...]:
    """The controls of a ``Generation`` whose maps nobody has read yet; no price depends on it."""
    return tuple(each.control for each in wanted)


def with_images(wanted: Sequence[Wanted], image: str | bytes | None) -> tuple[Wanted, ...]:
    """The same, with ``image`` where none is given. Raises ``InvalidInput`` where there is none."""
    for each in wanted:
        if each.image is None and each.people is None and image is None:
            raise InvalidInput(
                f"{each.name}.image",
                f"{each.name}.image is missing; send a picture, or pose for a pose",
            )
    return tuple(
        replace(each, image=image) if each.image is None and each.people is None else each
        for each in wanted
    )


async def read_maps(
    intake: Intake, wanted: Sequence[Wanted], width: int, height: int
) -> tuple[dict[str, Pixels], tuple[Control, ...], list[str]]:
    """The maps by their SHA-256, the controls that name them, and notes.

    Raises ``InvalidInput`` for pictures that cannot be had or read.
    """
    pixels, controls, notes = dict[str, Pixels](), list[Control](), list[str]()
    found = await makers(intake, wanted)
    for each, maker in zip(wanted, found, strict=True):
        made, told = await read_map(intake, each, maker, width, height)
        sha256 = inputs.digest(made)
        pixels[sha256] = made
        controls.append(each.control.model_copy(update={"map_sha256": sha256}))
        notes += told
    return pixels, tuple(controls), notes


async def read_map(
    intake: Intake, wanted: Wanted, maker: maps.Maker | None, width: int, height: int
) -> tuple[Pixels, list[str]]:
    """A single map, RGB (height, width, 3)."""
    if wanted.people is not None:
        return await pools.WORDS.run(drawn, wanted.people, width, height), []
    assert wanted.image is not None, "asked for before"
    assert maker is not None, "of a picture"
    fitted = {"width": width, "height": height, "resize_mode": wanted.resize_mode}
    field, image = f"{wanted.name}.image", wanted.image
    return await maps.made(intake, maker, field, image, 3 * width * height, **fitted)


async def makers(intake: Intake, wanted: Sequence[Wanted]) -> list[maps.Maker | None]:
    """What makes each map; None where one is drawn. Raises ``InvalidInput``."""
    return [
        None
        if each.people is not None
        else await maps.maker(intake, f"{each.name}.", each.control.preprocessor, each.options)
        for each in wanted
    ]
