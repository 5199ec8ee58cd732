"""From one request with a style mix or a template to the generations that are drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from limner.domain.params import Generation
from limner.domain.styles import Catalogue, StyleMix, mix_lines
from limner.errors import InvalidInput
from limner.usecases.prompting.templates import Templates

PICTURES_MAX = 64
LENGTH_MAX = 200_000


@dataclass(frozen=True)
class Variant:
    """A generation with everything filled in, and the picks of the style mix it came from."""

    generation: Generation
    picks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def expand(
    generation: Generation,
    catalogue: Catalogue,
    *,
    style_mix: StyleMix | None = None,
    template: bool = False,
) -> tuple[Variant, ...]:
    """What is really drawn: one variant for each line of a sequence, in order.

    Every line begins at the request's seed, so that lines compare on equal noise; random picks
    are drawn once, from that seed. A template is drawn anew for each picture, from the picture's
    seed; a line whose pictures read differently becomes several variants.

    Raises:
        InvalidInput: a name or wildcard that is not listed, a template that cannot be read, a
            prompt grown too long, or more than ``PICTURES_MAX`` pictures.
    """
    mix = style_mix or StyleMix()
    lines = max(1, len(mix.sequence)) * max(1, len(mix.subsequence))
    if lines > 1 and lines * generation.samples > PICTURES_MAX:
        raise InvalidInput(
            "style_mix.sequence",
            f"style_mix.sequence makes {lines} lines of {generation.samples} pictures, "
            f"{lines * generation.samples} together; at most {PICTURES_MAX} are drawn.",
        )
    _check_length(generation, mix, template=template)
    if not template:
        return _style(generation, generation.seed, style_mix, catalogue)
    columns = [
        _style(picture, generation.seed, mix, catalogue)
        for picture, mix in _fill_in(generation, style_mix, catalogue)
    ]
    return tuple(variant for line in zip(*columns, strict=True) for variant in _join(line))


def _check_length(generation: Generation, mix: StyleMix, *, template: bool) -> None:
    """Raises ``InvalidInput`` where the lines of a request are too long together."""
    outer, inner = max(1, len(mix.sequence)), max(1, len(mix.subsequence))
    prompts = len(generation.prompt) + len(generation.negative_prompt)
    length = outer * inner * prompts
    length += inner * sum(map(len, mix.sequence)) + outer * sum(map(len, mix.subsequence))
    length *= generation.samples if template else 1
    if length > LENGTH_MAX:
        raise InvalidInput(
            "prompt",
            f"prompt is {length:,} characters long over all lines and pictures that styles and "
            f"templates make of it; at most {LENGTH_MAX:,} are read.",
        )


def _fill_in(
    generation: Generation, style_mix: StyleMix | None, catalogue: Catalogue
) -> list[tuple[Generation, StyleMix | None]]:
    """Every picture of ``generation`` with its own reading of the templates."""
    prompts = {
        name: Templates(name, [getattr(generation, name)], catalogue)
        for name in ("prompt", "negative_prompt")
    }
    lines = {} if style_mix is None else _lines(style_mix, catalogue)
    pictures = []
    for index in range(generation.samples):
        seed = generation.seed_of(index)
        read = {name: template.draw(seed)[0] for name, template in prompts.items()}
        picture = generation.alone(index).model_copy(update=read)
        filled = {name: tuple(template.draw(seed)) for name, template in lines.items()}
        pictures.append((picture, style_mix and style_mix.model_copy(update=filled)))
    return pictures


def _lines(mix: StyleMix, catalogue: Catalogue) -> dict[str, Templates]:
    named = {"sequence": mix.sequence, "subsequence": mix.subsequence}
    return {name: Templates(f"style_mix.{name}", lines, catalogue) for name, lines in named.items()}


def _style(
    generation: Generation, seed: int, mix: StyleMix | None, catalogue: Catalogue
) -> tuple[Variant, ...]:
    if mix is None:
        return (Variant(generation),)
    mixed = mix_lines(generation.prompt, generation.negative_prompt, mix, catalogue, seed)
    return tuple(
        Variant(
            generation.model_copy(
                update={"prompt": line.prompt, "negative_prompt": line.negative_prompt}
            ),
            dict(line.picks),
        )
        for line in mixed
    )


def _join(pictures: Sequence[Variant]) -> list[Variant]:
    """Neighbouring pictures that read the same are one variant of several samples."""
    joined = []
    for _, run in groupby(
        pictures, key=lambda v: (v.generation.prompt, v.generation.negative_prompt)
    ):
        same = list(run)
        first = same[0]
        whole = first.generation.model_copy(update={"samples": len(same)})
        joined.append(Variant(whole, first.picks))
    return joined


def preview(variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """The expanded prompts and picks, ready for JSON."""
    return [
        {
            "prompt": variant.generation.prompt,
            "negative_prompt": variant.generation.negative_prompt,
            "seed": variant.generation.seed,
            "samples": variant.generation.samples,
            "picks": variant.picks,
        }
        for variant in variants
    ]
