"""What is known of an image before anything is computed for it: size, rows, evaluations, memory."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from limner.domain.hires import LATENT_MODES, PIXEL_MODES
from limner.domain.params import Generation
from limner.domain.passes import passes_of, tile_of
from limner.engine.adapters.resident import Adapters
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import Controls
from limner.engine.detecting.resident import Detectors
from limner.engine.sampling import latents
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.details import starts_of
from limner.engine.sampling.guidance import count_rows
from limner.engine.sampling.history import footprint, start_of
from limner.engine.sampling.passes import Course, Pass
from limner.engine.sampling.starts import Start
from limner.engine.tiling.pieces import side_for
from limner.engine.upscaling.resident import Upscalers
from limner.errors import InvalidInput


def plan(
    request: Request,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
    upscalers: Upscalers,
    detectors: Detectors,
    room: int,
    vae_bytes: float = math.inf,
) -> list[Image]:
    """The images of a request, and their course. Raises ``InvalidInput`` for what cannot be.

    ``room``: how many UNet rows, times latent pixels, fill a step. ``vae_bytes``: what the VAE may
    take; a picture for which that is too little goes through it in pieces.
    """
    asked, request = request, _in_pieces(request, checkpoint, vae_bytes)
    passes: list[Pass] = []
    _check_upscaler(request.generation, checkpoint)
    together = _together(request.generation, checkpoint, conditioner, room)
    for generation, start in starts_of(request, together, upscalers, detectors):
        begins = passes[-1].evaluations.stop if passes else 0
        # What later passes start from has no content yet.
        nothing = {name: np.broadcast_to(np.uint8(0), shape) for name, shape in start.needs.items()}
        own = replace(request, generation=generation, pixels={**request.pixels, **nothing})
        passes.append(_pass(own, start, begins, checkpoint, conditioner, adapters, controls))
    first, course = passes[0], Course(tuple(passes))
    cost = first.group.cost(first.rows)
    size = max(each.bytes for each in passes)
    same = (first.group, first.rows, cost, size, first.evaluations, passes[-1].evaluations.stop)
    samples = range(request.generation.samples)
    enlarges = first.start.enlarges
    return [Image(asked, i, *same, state=course, enlarges=enlarges) for i in samples]


def _in_pieces(request: Request, checkpoint: Checkpoint, vae_bytes: float) -> Request:
    """The same with its VAE's pieces settled, by the largest of its passes; a replay says them."""
    g = request.generation
    if g.vae_tile is not None:
        return request
    largest = max(passes_of(g), key=lambda each: each.width * each.height)
    side = side_for(checkpoint.vae, largest.height, largest.width, vae_bytes)
    return replace(request, generation=g.model_copy(update={"vae_tile": side}))


def _pass(
    request: Request,
    start: Start,
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
    _check_edges(g, checkpoint)
    conditioner.check(g.embeddings)
    rows, bucket = count_rows(g, conditioner)
    rows = rows or [1]  # where no step runs, which ``prepare`` refuses
    _, strength = start_of(g, checkpoint)
    count = g.method.evaluations(g.steps, strength)
    height, width = latents.latent_size(g, checkpoint.vae_scale)
    group = Group(checkpoint.info.drawn_with, height, width, bucket)
    size = footprint(request, checkpoint, conditioner) * start.parts + start.bytes
    copies = 1 + max(rows) * start.parts  # of adapters: the files', and one for each row
    size += copies * adapters.size(g.loras) + controls.size(g.controls)
    size += controls.hint_bytes(g.controls, height, width) * start.parts
    evaluations = range(begins, begins + count)
    return Pass(request, start, group, rows[0] * start.parts, evaluations, size)


def _together(g: Generation, checkpoint: Checkpoint, conditioner: Conditioner, room: int) -> int:
    """How many tiles of a picture are drawn side by side: as many as fill a step."""
    if g.sd_upscale is None or g.exact:
        return 1
    tile = tile_of(g, 0)
    rows, _ = count_rows(tile, conditioner)
    area = math.prod(latents.latent_size(tile, checkpoint.vae_scale))
    return max(1, room // (max(rows, default=1) * area))


def _check_edges(g: Generation, checkpoint: Checkpoint) -> None:
    """Edges that meet must be those of whole latent pixels."""
    scale = checkpoint.vae_scale
    for meets, name, side in zip(g.axes, ("width", "height"), (g.width, g.height), strict=True):
        if meets and side % scale:
            raise InvalidInput(
                "tiling",
                f"tiling is {g.tiling}; {name} is {side}, and {checkpoint.info.name} can let edges "
                f"meet where it is a multiple of {scale}",
            )


def _check_upscaler(g: Generation, checkpoint: Checkpoint) -> None:
    larger = g.hires or g.sd_upscale
    if larger is None:
        return
    field, name = f"{'hires' if g.hires else 'sd_upscale'}.upscaler", larger.upscaler
    if checkpoint.inpaints and name in LATENT_MODES:
        raise InvalidInput(
            field,
            f"{field} is {name!r}; {checkpoint.info.name} fills holes in pictures and reads "
            f"one: take {' or '.join(PIXEL_MODES)}",
        )
