"""What one image has seen, and the weights that turn it into the UNet's next input.

``H`` keeps the source latent, the noise and every model output; ``C`` is the sampler as a matrix
(``samplers.Trace``). All a step needs of an image is ``C[k] · H``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limner.domain.params import BRANCHES_MAX, Generation, Source
from limner.domain.tiling import Axes
from limner.engine.adapters.resident import Adapters
from limner.engine.adapters.rows import Uses
from limner.engine.adapters.targets import TEXT, UNET
from limner.engine.batching.image import Image
from limner.engine.batching.request import Request
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.resident import NO_CONTROLS, Controls, Led
from limner.engine.sampling import inpainting, latents, regional, samplers
from limner.engine.sampling.batch import Batch, context_of
from limner.engine.sampling.conditioning import Conditioner
from limner.engine.sampling.guidance import Guidance, count_tokens, encode_guidance
from limner.engine.sampling.matrices import SOURCES, Trace
from limner.engine.sampling.noise import Floats, NoiseStream, initial_noise
from limner.engine.sampling.passes import Course
from limner.engine.sampling.transfer import to_device


@dataclass(eq=False)
class History:
    """One image's tensors. L is the length of a flattened latent, B the trace's columns.

    ``C`` (K+1, B) float32: rows of the trace, the last one gives the finished latent.
    ``H`` (B, L) float32: source, noise, then one row per evaluation. ``t`` (K,) float32.
    ``kept`` (K+1, L) float32 or None and ``mask`` (L,) bool: what inpainting puts back.
    ``adapters`` are what its rows use at each evaluation, ``controls`` what they follow, ``course``
    the passes it is one of.
    ``beside`` (C', h, w) float32 or None: what the UNet reads beside the latent, always the same.
    ``tiling``: along which axes its edges meet, at each evaluation.
    """

    course: Course
    trace: Trace
    guidance: Guidance
    C: Tensor
    H: Tensor
    t: Tensor
    mask: Tensor | None = None
    kept: Tensor | None = None
    beside: Tensor | None = None
    adapters: Sequence[Uses] = ()
    controls: Led = NO_CONTROLS
    tiling: Sequence[Axes] = ()

    @property
    def strands(self) -> tuple[History, ...]:
        """Itself: what is drawn side by side in its image."""
        return (self,)

    def rows(self, k: int) -> int:
        """UNet rows of evaluation k."""
        return len(self.guidance.at(k).G)

    def at(self, k: int) -> Tensor:
        """The UNet's input at evaluation k, or after the last one the finished latent: (L,)."""
        seen = self.trace.eps_column(k)
        y = self.C[k, :seen] @ self.H[:seen]
        if self.mask is not None and self.kept is not None:
            y = torch.where(self.mask, y, self.kept[k])
        return y

    def guided(self, k: int, E: Tensor) -> Tensor:
        """The guided output (L,) of evaluation k, of those of its rows: (rows, C, n)."""
        rows = self.guidance.at(k)
        if rows.tempering is None:
            return rows.composed(E)
        y, share = self.at(k).view_as(E[0]), k / max(1, len(self.t) - 1)
        return rows.tempering.guided(E, y, self.trace.estimating(k), share).flatten()

    def uses(self, k: int) -> Uses:
        """The adapters of its rows at evaluation k."""
        return self.adapters[k] if self.adapters else ()

    def add(self, k: int, eps: Tensor) -> None:
        """Remember the guided model output (L,) of evaluation k."""
        self.H[self.trace.eps_column(k)] = eps

    def denoised(self, k: int) -> Tensor:
        """The estimate of the finished latent after evaluation k: (L,)."""
        seen = self.trace.eps_column(k) + 1
        return _tensor(self.trace.denoised[k, :seen], self.H.device) @ self.H[:seen]


def start_of(g: Generation, checkpoint: Checkpoint) -> tuple[samplers.Mode, float | None]:
    """Where an image starts: from noise, or from a source at a strength."""
    if g.source is None:
        return "txt2img", None
    masked = g.source.mask_sha256 is not None or checkpoint.inpaints
    return ("inpaint" if masked else "img2img"), g.source.strength


def begin(
    image: Image,
    course: Course,
    request: Request,
    checkpoint: Checkpoint,
    conditioner: Conditioner,
    adapters: Adapters,
    controls: Controls,
) -> History:
    """Everything that a part of a pass, ``request``, needs before the first evaluation.

    Reads its adapters and controls, traces the sampler, encodes the prompts, encodes the source and
    draws all noise, each in the order in which diffusers draws it. On the UNet's device.
    """
    start, g = course.latent, request.generation
    mode, strength = start_of(g, checkpoint)
    betas = checkpoint.scheduler_betas
    trace = samplers.trace(g.method, g.steps, mode=mode, strength=strength, betas=betas)
    uses = adapters.uses(g.loras, TEXT)
    size = (image.group.height, image.group.width)
    masks = _masks(request, size, checkpoint.vae_scale)
    guidance = encode_guidance(g, trace.steps, image.group.bucket, conditioner, uses, size, masks)
    weight = next(checkpoint.unet.parameters())
    shape = (checkpoint.latent_channels, *size)
    stream, source = NoiseStream(g.noise_source, g.seed_of(image.index)), None
    if start is not None:
        source = latents.Source(start, None)
    elif g.source is not None and not (checkpoint.inpaints and strength == 1):
        source = latents.prepare_source(g, latents.fitted(request), checkpoint, stream)
    masked = mode == "inpaint" or checkpoint.inpaints
    noise, hidden = _noise(g, image.index, trace, stream, shape, masked=masked)
    history = History(
        course,
        trace,
        guidance.to(weight.device, weight.dtype),
        C=_tensor(np.vstack([trace.inputs, trace.final]), weight.device),
        H=to_device(noise, weight.device),
        t=_tensor(trace.timesteps, weight.device),
        adapters=_by_evaluation(g, adapters, len(trace.steps)),
        controls=controls.led(
            g.controls, _maps(image, request, checkpoint), len(trace.steps), g.axes
        ),
        tiling=g.axes_over(len(trace.steps)),
    )
    if checkpoint.inpaints and hidden is not None:
        history.beside = inpainting.conditions(request, checkpoint, hidden)
    if source is not None:
        _start_from(history, source, shape, g.source)
    return history


def _by_evaluation(g: Generation, adapters: Adapters, count: int) -> tuple[Uses, ...]:
    """What the rows use at each of ``count`` evaluations; nothing where they never use any."""
    on = ([lora for lora in g.loras if lora.on(k, count)] for k in range(count))
    return tuple(adapters.uses(loras, UNET) for loras in on) if g.loras else ()


def _maps(image: Image, request: Request, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """What its controls follow, of as many pixels as its latent spans, on the UNet's device."""
    pixels, scale = request.pixels, checkpoint.vae_scale
    names = {control.map_sha256 for control in request.generation.controls}
    size = image.group.height, image.group.width
    return {
        name: to_device(
            torch.from_numpy(latents.padded(pixels[name], size, scale)), checkpoint.unet.device
        )
        for name in names & pixels.keys()
    }


def _masks(request: Request, size: tuple[int, int], scale: int) -> dict[str, Tensor]:
    """How much of each latent pixel the masks of its regions mark."""
    pixels = request.pixels
    return {
        name: regional.marked(latents.padded(pixels[name], size, scale), scale)
        for name in request.generation.region_masks
    }


def footprint(request: Request, checkpoint: Checkpoint, conditioner: Conditioner) -> int:
    """Bytes that one image of ``request`` takes while it is in flight, by the shapes of ``begin``.

    The request's pictures count in full for each of its images: they stay until the last is done.
    """
    g = request.generation
    mode, strength = start_of(g, checkpoint)
    count, draws = (f(g.steps, strength) for f in (g.method.evaluations, g.method.draws))
    kept = draws * g.method.keeps_noise
    columns = SOURCES + draws + count
    latent = checkpoint.latent_channels * math.prod(latents.latent_size(g, checkpoint.vae_scale))
    floats = columns * latent + (count + 1) * columns + count
    masks = 0
    if checkpoint.inpaints:
        floats += latent + latent // checkpoint.latent_channels
    elif mode == "inpaint":
        floats, masks = floats + (count + 1) * latent, latent
    trace = 8 * ((2 * count + 1) * columns + 4 * count + 2 + (count + 1) * kept)  # float64
    weights = 4 * (BRANCHES_MAX + 1)
    if g.regions:  # at two scales, and as tempering reads them
        weights *= 4 * (1 + len(g.regions)) * latent // checkpoint.latent_channels
    weight = next(checkpoint.unet.parameters())
    width = checkpoint.text_encoder.config.hidden_size
    contexts = count_tokens(g, conditioner) * width * weight.element_size()
    pixels = sum(picture.nbytes for picture in request.pixels.values())
    held = 4 * floats + masks + trace + weights + contexts + pixels
    return held + latents.fitted_bytes(request)


def gather(images: Sequence[Image], dtype: torch.dtype) -> Batch:
    """What the UNet reads at the images' evaluations, in ``dtype``."""
    group = images[0].group
    seen = [(image.k, strand) for image in images for strand in image.state.strands]
    conditions = [strand.guidance.at(k) for k, strand in seen]
    y = torch.stack([strand.at(k) for k, strand in seen])
    y = y.view(len(seen), -1, group.height, group.width)
    if seen[0][1].beside is not None:  # and so have all: a group is of one model
        y = torch.cat([y, torch.stack([strand.beside for _, strand in seen])], dim=1)
    y = y.to(dtype)
    rows = [len(c.contexts) for c in conditions]
    # Views and device work alone: an index from the host would wait for all that a GPU has to do.
    y = torch.cat([one.expand(n, *one.shape) for one, n in zip(y, rows, strict=True)])
    t = torch.cat([strand.t[k].expand(n) for (k, strand), n in zip(seen, rows, strict=True)])
    contexts = [context for c in conditions for context in c.contexts]
    used = [strand.uses(k) for k, strand in seen]
    adapters = tuple(uses for uses, n in zip(used, rows, strict=True) for _ in range(n))
    controls = tuple(
        uses
        for (k, strand), c in zip(seen, conditions, strict=True)
        for uses in strand.controls.at(k, len(c.contexts), c.negatives)
    )
    edges = [strand.tiling[k] for k, strand in seen]
    tiling = tuple(axes for axes, n in zip(edges, rows, strict=True) for _ in range(n))
    context = context_of(contexts, conditions[0].tokens)
    beside = (adapters if any(used) else None, controls if any(controls) else None)
    return Batch(y, t, *context, *beside, tiling if any(map(any, edges)) else None)


def _noise(
    g: Generation,
    index: int,
    trace: Trace,
    stream: NoiseStream,
    shape: tuple[int, int, int],
    *,
    masked: bool,
) -> tuple[Tensor, Floats | None]:
    """The matrix ``H`` with all noise that an image starts from and meets, on the host.

    And that of the masked picture's posterior, for which diffusers draws between the two, whether
    a UNet reads it or not.
    """
    H = torch.zeros(trace.columns, math.prod(shape))
    subseed = g.subseed_of(index)
    start = initial_noise(stream, shape, subseed=subseed, strength=g.subseed_strength)
    H[1] = torch.from_numpy(start).flatten()
    hidden = stream.draw(shape) if masked else None
    stream = stream.moved(g.eta_noise_seed_delta)
    for draw in range(trace.draws):
        H[trace.noise_column(draw)] = torch.from_numpy(stream.draw(shape)).flatten()
    return H, hidden


def _start_from(
    history: History, source: latents.Source, shape: tuple[int, int, int], said: Source | None
) -> None:
    history.H[0] = source.latent.flatten()
    if source.mask is not None and said is not None:
        _keep(history, source.mask.expand(shape).flatten(), said)
    if said is not None and said.noise_multiplier != 1:
        history.H[1] *= said.noise_multiplier  # not that of what a mask keeps


def _keep(history: History, mask: Tensor, said: Source) -> None:
    """What ``mask`` (L,) repaints starts as it is filled; the rest is put back, unless a UNet reads
    it beside the latent."""
    if said.mask_fill in ("noise", "nothing"):
        filling = history.H[1] if said.mask_fill == "noise" else torch.zeros_like(history.H[1])
        history.H[0] = torch.where(mask, filling, history.H[0])
    if history.beside is None:
        history.mask = mask
        keep = _tensor(history.trace.keep, history.H.device)
        history.kept = keep @ history.H[: keep.shape[1]]


def _tensor(values: object, device: torch.device) -> Tensor:
    return to_device(torch.tensor(np.asarray(values), dtype=torch.float32), device)
