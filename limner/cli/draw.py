"""``limner draw``: pictures without a server, through the same engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import files, options
from limner.cli.configured import MODELS, configured
from limner.settings import Settings


@configured(*MODELS, "data_dir")
def draw(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.")] = None,
    negative: options.Negative = None,
    scheduler: options.Scheduler = None,
    sampler: options.Sampler = None,
    schedule: options.Schedule = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    guidance_start: options.GuidanceStart = None,
    guidance_end: options.GuidanceEnd = None,
    guidance_rescale: options.GuidanceRescale = None,
    thresholding: options.Thresholding = None,
    samples: Annotated[int | None, typer.Option(help="Pictures to draw, 1 to 16.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Default: random; picture i uses seed + i.")
    ] = None,
    width: options.Side = None,
    height: options.Side = None,
    clip_skip: Annotated[int | None, typer.Option(help="1 to 12. Default: 1.")] = None,
    subseed: Annotated[int | None, typer.Option(help="Seed of a variation's noise.")] = None,
    subseed_strength: Annotated[
        float | None, typer.Option(help="How much of it to mix in, 0 to 1.")
    ] = None,
    eta_noise_seed_delta: Annotated[
        int | None, typer.Option(help="Added to the seed of noise drawn on the way (ENSD).")
    ] = None,
    image: options.Image = None,
    mask: Annotated[str | None, typer.Option(help="White is repainted: a file or URL.")] = None,
    strength: options.Strength = None,
    mask_blur: Annotated[
        int | None, typer.Option(help="Pixels by which the mask's edge is softened.")
    ] = None,
    mask_fill: Annotated[
        str | None, typer.Option(help="The masked part starts as original, fill, noise, nothing.")
    ] = None,
    only_masked: Annotated[
        bool | None, typer.Option(help="Draw the masked part alone; the picture keeps its size.")
    ] = None,
    mask_padding: Annotated[
        int | None, typer.Option(help="Pixels round the mask that --only-masked draws too.")
    ] = None,
    resize_mode: Annotated[str | None, typer.Option(help="crop, fill or stretch.")] = None,
    hires: Annotated[
        str | None,
        typer.Option(help='Draw again, larger: 2, or JSON such as \'{"scale": 2, "steps": 10}\'.'),
    ] = None,
    sd_upscale: Annotated[
        str | None,
        typer.Option(help="Draw --image larger, in tiles: 2, or JSON with scale, tile_width, ..."),
    ] = None,
    details: Annotated[
        str | None,
        typer.Option(help="Boxes to draw once more, as JSON: '[{\"box\": [0.4, 0.1, 0.2, 0.2]}]'."),
    ] = None,
    regions: options.Regions = None,
    control: options.Controls = None,
    tiling: options.Tiling = None,
    tiling_start: options.TilingStart = None,
    tiling_end: options.TilingEnd = None,
    style: options.Style = None,
    template: Annotated[bool | None, typer.Option(help="Fill in {a|b} and __moods__.")] = None,
    preset: options.Preset = None,
    noise_source: Annotated[str | None, typer.Option(help="philox or torch-cpu.")] = None,
    with_model: Annotated[
        str | None,
        typer.Option(help="A checkpoint of the library, by name or SHA-256, in place of --model."),
    ] = None,
    with_vae: Annotated[str | None, typer.Option(help="A VAE of the library, alike.")] = None,
    exact: Annotated[bool | None, typer.Option(help="A forward pass of its own.")] = None,
    format: Annotated[
        str | None,
        typer.Option(help="png, jpeg or webp. Default: as the file's name ends, else png."),
    ] = None,
    sprite: Annotated[bool, typer.Option(help="The small model's true pixels, as PNG.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write. Default: limner-SEED, a free name."),
    ] = None,
    overwrite: files.Overwrite = False,
    batch: Annotated[
        Path | None, typer.Option(help="JSON Lines of requests, drawn together; - reads stdin.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures of --batch.")] = None,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Draw pictures without a server.

    With --batch, every line is a request in the wire's field names; all of them share the
    engine's forward passes, and 0001.png with its receipt 0001.json and so on are written in
    input order. The other options are then the defaults of every line.
    """
    from limner.cli import drawing

    given = options.body(
        prompt=prompt, negative=negative, scheduler=scheduler,
        sampler=sampler, schedule=schedule, steps=steps, guidance=guidance,
        guidance_start=guidance_start, guidance_end=guidance_end,
        guidance_rescale=guidance_rescale, thresholding=thresholding,
        samples=samples, seed=seed, width=width, height=height, clip_skip=clip_skip,
        noise_source=noise_source, exact=exact, subseed=subseed, subseed_strength=subseed_strength,
        eta_noise_seed_delta=eta_noise_seed_delta,
        image=image, mask=mask, strength=strength, mask_blur=mask_blur, resize_mode=resize_mode,
        mask_fill=mask_fill, only_masked=only_masked, mask_padding=mask_padding, hires=hires,
        sd_upscale=sd_upscale, details=details, regions=regions, control=control,
        tiling=tiling, tiling_start=tiling_start, tiling_end=tiling_end,
        style=style, template=template, preset=preset, with_model=with_model, with_vae=with_vae,
    )  # fmt: skip
    target = drawing.Target.of(
        output=output, out=out, batch=batch, format=format, sprite=sprite, overwrite=overwrite
    )
    calls = drawing.read_calls(settings, batch, given)
    drawing.run(settings, calls, target, as_json=as_json)
