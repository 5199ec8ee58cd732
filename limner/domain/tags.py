"""LoRAs that a prompt names by tags, among those of the request."""

from __future__ import annotations

from collections.abc import Iterable

from limner.domain.loras import LORAS_MAX, STRENGTH_MAX, Lora
from limner.domain.params import Generation
from limner.domain.prompt import Adapter, take_adapters
from limner.errors import InvalidInput


def with_tags(generation: Generation) -> Generation:
    """The same with ``<lora:name:unet>`` and ``<lora:name:text_encoder:unet>`` taken for LoRAs.

    They leave the prompt before it is read, so a receipt has them once. Raises ``InvalidInput``
    for too many, or too strong ones.
    """
    _check_later(generation)
    prompt, adapters = take_adapters(generation.prompt)
    if not adapters:
        return generation
    loras = (*generation.loras, *map(_lora, adapters))
    if len(loras) > LORAS_MAX:
        raise InvalidInput(
            "loras", f"loras: this request has {len(loras)}, tags included; at most {LORAS_MAX} do"
        )
    return generation.model_copy(update={"prompt": prompt, "loras": loras})


def _check_later(generation: Generation) -> None:
    """Raises ``InvalidInput`` for a tag in a prompt of a later pass or of a region."""
    said = {f"details.{n}.prompt": each.prompt for n, each in enumerate(generation.details)}
    said |= {f"regions.{n}.prompt": each.prompt for n, each in enumerate(generation.regions)}
    said["hires.prompt"] = generation.hires.prompt if generation.hires else None
    for field, prompt in said.items():
        if prompt and take_adapters(prompt)[1]:
            raise InvalidInput(
                field,
                f"{field} has a tag of a LoRA; all is drawn with those of prompt: put it there",
            )


def tagged(prompt: str, loras: Iterable[Lora]) -> str:
    """``prompt`` with ``loras`` as tags at its end, each as short as it can be."""
    return prompt + "".join(map(_tag, loras))


def number(value: float) -> str:
    """The shortest text that reads back as ``value``, without a point where it is whole."""
    return repr(value).removesuffix(".0")


def _tag(lora: Lora) -> str:
    strengths = dict.fromkeys((lora.text_encoder, lora.unet))
    return f"<lora:{lora.name}:{':'.join(map(number, strengths))}>"


def _lora(adapter: Adapter) -> Lora:
    for strength in (adapter.unet, adapter.text_encoder):
        if abs(strength) > STRENGTH_MAX:
            raise InvalidInput(
                "prompt",
                f"prompt: the LoRA {adapter.name!r} has the strength {strength:g}; it must be "
                f"{-STRENGTH_MAX:g} to {STRENGTH_MAX:g}",
            )
    return Lora(name=adapter.name[:500], unet=adapter.unet, text_encoder=adapter.text_encoder)
