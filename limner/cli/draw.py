"""``limner draw``: pictures without a server, through the same engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import options


def draw(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to keep out.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="One of the twelve. Default: UniPC.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="1 to 150. Default: 20.")] = None,
    guidance: Annotated[float | None, typer.Option(help="0 to 100. Default: 7.5.")] = None,
    samples: Annotated[int | None, typer.Option(help="Pictures to draw, 1 to 16.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Default: random; picture i uses seed + i.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="A multiple of 8. Default: 512.")] = None,
    height: Annotated[int | None, typer.Option(help="A multiple of 8. Default: 512.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="1 to 12. Default: 1.")] = None,
    subseed: Annotated[int | None, typer.Option(help="Seed of a variation's noise.")] = None,
    subseed_strength: Annotated[
        float | None, typer.Option(help="How much of it to mix in, 0 to 1.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Picture to start from: a file or URL.")] = None,
    mask: Annotated[str | None, typer.Option(help="White is repainted: a file or URL.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="How far to go from --image, 0 to 1. Default: 0.75.")
    ] = None,
    mask_blur: Annotated[
        int | None, typer.Option(help="Pixels by which the mask's edge is softened.")
    ] = None,
    resize_mode: Annotated[str | None, typer.Option(help="crop, fill or stretch.")] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(help="KIND=NAME or KIND=NAME:WEIGHT of the style catalogue; several times."),
    ] = None,
    template: Annotated[bool | None, typer.Option(help="Fill in {a|b} and __moods__.")] = None,
    preset: Annotated[str | None, typer.Option(help="easy, medium or hard.")] = None,
    model: options.Model = None,
    vae: options.Vae = None,
    device: options.Device = None,
    noise_source: Annotated[str | None, typer.Option(help="philox or torch-cpu.")] = None,
    exact: Annotated[bool | None, typer.Option(help="A forward pass of its own.")] = None,
    format: Annotated[str, typer.Option(help="png, jpeg or webp.")] = "png",
    sprite: Annotated[bool, typer.Option(help="The small model's true pixels, as PNG.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.")] = None,
    batch: Annotated[
        Path | None, typer.Option(help="JSON Lines of requests, drawn together; - reads stdin.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures of --batch.")] = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Draw pictures without a server.

    With --batch, every line is a request in the wire's field names; all of them share the
    engine's forward passes, and 0001.png with its receipt 0001.json and so on are written in
    input order. The other options are then the defaults of every line.
    """
    fields = {
        "prompt": prompt,
        "negative_prompt": negative,
        "scheduler": scheduler,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "samples": samples,
        "seed": seed,
        "img_width": width,
        "img_height": height,
        "clip_skip": clip_skip,
        "noise_source": noise_source,
        "exact": exact,
        "subseed": subseed,
        "subseed_strength": subseed_strength,
        "image": image,
        "mask": mask,
        "strength": strength,
        "mask_blur": mask_blur,
        "resize_mode": resize_mode,
        "style_mix": options.style_mix(style or ()),
        "template": template,
        "preset": preset,
    }
    from limner.cli import drawing

    given = {name: value for name, value in fields.items() if value is not None}
    settings = options.settings(model=model, vae=vae, device=device, data_dir=data_dir)
    target = drawing.Target.of(output=output, out=out, batch=batch, format=format, sprite=sprite)
    calls = drawing.read_calls(settings, batch, given)
    drawing.run(settings, calls, target, as_json=as_json)
