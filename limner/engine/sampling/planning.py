"""What is known of an image before anything is computed for it: size, rows, evaluations, memory."""

from __future__ import annotations

from dataclasses import replace

from limner.domain.hires import LATENT_MODES, PIXEL_MODES, UPSCALERS
from limner.engine.adapters.resident import Adapters
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import Controls
from limner.engine.sampling import latents
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.guidance import count_rows
from limner.engine.sampling.history import footprint, start_of
from limner.engine.sampling.passes import Course, Pass, requests_of
from limner.errors import InvalidInput


def plan(
    request: Request,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
) -> list[Image]:
    """The images of a request, and their course. Raises ``InvalidInput`` for what cannot be."""
    passes: list[Pass] = []
    for each in requests_of(request):
        begins = passes[-1].evaluations.stop if passes else 0
        passes.append(_pass(each, begins, checkpoint, conditioner, adapters, controls))
    if hires := request.generation.hires:
        _check_upscaler(hires.upscaler, checkpoint)
        passes[1] = replace(passes[1], upscaler=hires.upscaler)
    first, course = passes[0], Course(tuple(passes))
    cost = first.group.cost(first.rows)
    size = max(each.bytes for each in passes)
    same = (first.group, first.rows, cost, size, first.evaluations, passes[-1].evaluations.stop)
    samples = range(request.generation.samples)
    return [Image(request, i, *same, state=course) for i in samples]


def _pass(
    request: Request,
    begins: int,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
) -> Pass:
    """A pass whose evaluations begin at the picture's ``begins``-th."""
    g = request.generation
    if checkpoint.info.zero_snr:
        g.method.check_zero_snr()
    conditioner.check(g.embeddings)
    rows, bucket = count_rows(g, conditioner)
    rows = rows or [1]  # where no step runs, which ``prepare`` refuses
    _, strength = start_of(g, checkpoint)
    count = g.method.evaluations(g.steps, strength)
    height, width = latents.latent_size(g, checkpoint.vae_scale)
    group = Group(checkpoint.info.drawn_with, height, width, bucket)
    size = footprint(request, checkpoint, conditioner)
    size += (1 + max(rows)) * adapters.size(g.loras)  # the files', and a copy for each row
    size += controls.size(g.controls) + controls.hint_bytes(g.controls, height, width)
    return Pass(request, group, rows[0], range(begins, begins + count), size)


def _check_upscaler(name: str, checkpoint: Checkpoint) -> None:
    if name not in UPSCALERS:
        known = ", ".join(UPSCALERS)
        raise InvalidInput(
            "hires.upscaler", f"hires.upscaler is {name!r}; it must be one of {known}"
        )
    if checkpoint.inpaints and name in LATENT_MODES:
        raise InvalidInput(
            "hires.upscaler",
            f"hires.upscaler is {name!r}; {checkpoint.info.name} fills holes in pictures and reads "
            f"one: take {' or '.join(PIXEL_MODES)}",
        )
