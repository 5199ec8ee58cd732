"""What is known of an image before anything is computed for it: size, rows, evaluations, memory."""

from __future__ import annotations

from limner.engine.adapters.resident import Adapters
from limner.engine.batching.image import Group, Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import Controls
from limner.engine.sampling import latents
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.guidance import count_rows
from limner.engine.sampling.history import footprint, start_of


def plan(
    request: Request,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
) -> list[Image]:
    """The images of a request, all but their state. Raises ``InvalidInput`` for what cannot be."""
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
    same = (group, rows[0], group.cost(rows[0]), size, range(count), count)
    return [Image(request, i, *same) for i in range(g.samples)]
