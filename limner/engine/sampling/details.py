"""Boxes of a picture that are drawn once more: given, or found in it by a detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby

from limner.domain.params import UNNAMED, Generation
from limner.domain.parts import Detail
from limner.domain.passes import UNNAMED_MASK, passes_of, size_of
from limner.engine.batching.request import Request
from limner.engine.batching.ticket import Pixels
from limner.engine.detecting.resident import Detectors
from limner.engine.sampling import latents
from limner.engine.sampling.starts import Before, Begun, Start, maps_of, whole
from limner.engine.upscaling.resident import Upscalers
from limner.imaging import tiling
from limner.imaging.fitting import enlarge


@dataclass(frozen=True, eq=False)
class Once(Start):
    """From a box of what was drawn so far, once more.

    ``detail``: the box, or of which detector's it is one; ``entry`` says which of a request's it
    is, and ``detectors`` are there where it names one.
    """

    detail: Detail = field(kw_only=True)
    entry: int = field(kw_only=True)
    detectors: Detectors | None = field(default=None, kw_only=True)

    def begin(self, request: Request, before: Before | None) -> Begun:
        assert before is not None, "something was drawn that has details"
        picture = before.picture
        height, width = picture.shape[:2]
        mask = tiling.marked(height, width, self.detail.pixels(width, height))
        both = {UNNAMED: picture, UNNAMED_MASK: mask}
        region = latents.region(replace(request, pixels=both))
        maps = {
            name: replace(region, picture=enlarge(each, width, height)).fitted()[0]
            for name, each in maps_of(request)
        }
        return Begun(replace(request, pixels={**both, **maps}))


def settled(starts: Sequence[Once], picture: Pixels) -> list[Once | None]:
    """All details of a picture with the boxes that are found in it; None for each that is not.

    Every detector looks at the picture as it is now, before any of them is drawn. Raises
    ``InvalidInput`` for a file that is gone, and ``CheckpointError`` for one that does not run.
    """
    made: list[Once | None] = []
    for _, group in groupby(starts, key=lambda start: start.entry):
        those = list(group)
        detail, detectors = those[0].detail, those[0].detectors
        found = [detail]
        if detail.file is not None:
            assert detectors is not None, "an engine that draws has detectors"
            found = detectors.details(detail, picture)
        made += [replace(one, detail=own) for one, own in zip(those, found, strict=False)]
        made += [None] * (len(those) - len(found))
    return made


def starts_of(
    request: Request, together: int, upscalers: Upscalers, detectors: Detectors
) -> list[tuple[Generation, Start]]:
    """The passes of a request, and how each begins; so many tiles are drawn side by side."""
    starts = [*whole(request, together, upscalers), *_details(request, detectors)]
    drawn = passes_of(request.generation)
    firsts = accumulate((start.parts for start in starts), initial=0)
    return [(drawn[first], start) for first, start in zip(firsts, starts, strict=False)]


def _details(request: Request, detectors: Detectors) -> Iterator[Once]:
    """As many of each as there may be boxes. The detectors run as the first of all begins."""
    height, width = _shape(request)
    needs = {UNNAMED: (height, width, 3), UNNAMED_MASK: (height, width)}
    details = request.generation.details
    files = [each.file for each in details if each.file is not None]
    held = max((detectors.get(file).held for file in files), default=0)
    for entry, detail in enumerate(details):
        for _ in range(detail.boxes):
            once = Once(needs, held, enlarges=held > 0, detail=detail, entry=entry)
            yield replace(once, detectors=detectors)
            held = 0


def _shape(request: Request) -> tuple[int, int]:
    """Height and width of the picture that has details."""
    source = request.generation.source
    if source is not None and source.only_masked and source.sha256 in request.pixels:
        height, width = request.pixels[source.sha256].shape[:2]
        return height, width
    width, height = size_of(request.generation)
    return height, width
