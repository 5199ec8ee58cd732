"""The vendor's ControlNet routes: ``image`` is what is followed, and gives the picture its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from limner.domain.controls import Control
from limner.web.reading import adjusting, inputs
from limner.web.reading.controls import Wanted
from limner.web.reading.form import Asked
from limner.web.reading.intake import Intake

LONGEST = 1024


@dataclass(frozen=True)
class Kind:
    """``preprocessor`` makes the map of the picture; None: the picture is the map."""

    preprocessor: str | None


KINDS: Mapping[str, Kind] = {
    "canny": Kind("canny"),
    "depth": Kind(None),
    "openpose": Kind(None),
    "scribble": Kind("scribble"),
    "softedge": Kind("softedge"),
}


# The networks of the library that make maps of a kind, by their kinds there.
NETWORKS = {"depth": "depth", "openpose": "pose"}


async def followed(asked: Asked, kind: str, intake: Intake) -> Asked:
    """The same with a control in place of ``image`` and ``strength``, at the picture's size.

    It is read before its price is known, and so after it is seen that any can be paid. Raises
    ``InvalidInput``, also where the library has no control of the kind.
    """
    values = dict(asked.values)
    name = values.get("control") or await intake.find_control(kind)
    await intake.afford(())
    image = await intake.fetch("image", values.pop("image"))
    size = (await intake.run("transparency", "image", image)).told["size"]
    values["img_width"], values["img_height"] = adjusting.fitted(*size, longest=LONGEST)
    made_by = KINDS[kind].preprocessor
    if made_by is None:
        made_by = (await intake.preprocessing.names()).get(NETWORKS[kind])
    control = Control(
        name=name,
        map_sha256=inputs.UNREAD,
        weight=values.pop("strength"),
        preprocessor=made_by,
    )
    values["controls"] = (Wanted(control, "control", image, resize_mode="stretch"),)
    notes = asked.notes
    if made_by is None:
        notes = (*notes, f"image was taken as a map of {kind}: no net that makes one is here")
    return replace(asked, values=values, notes=notes)
