"""``limner upscale``: pictures made larger without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import files, options
from limner.cli.configured import configured
from limner.settings import Settings


@configured("models_dirs", "data_dir", "device")
def upscale(
    sources: Annotated[list[Path], typer.Argument(help="Files of pictures.", metavar="FILE...")],
    upscaler: Annotated[
        str, typer.Option(help="Lanczos, Nearest, Scale2x, or one of the library, by its name.")
    ] = "Lanczos",
    scale: Annotated[float | None, typer.Option(help="Factor, 1 to 16. Default: 2.")] = None,
    width: Annotated[int | None, typer.Option(help="The width instead, in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="The height instead.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File to write. Default: FILE-larger.png, a free name."
        ),
    ] = None,
    overwrite: files.Overwrite = False,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Make pictures larger, with a file of an upscaler or without one."""
    from limner.cli import upscaling

    said = {"scale": scale, "width": width, "height": height}
    given = {name: value for name, value in said.items() if value is not None}
    target = upscaling.Target(output, overwrite)
    upscaling.run(settings, sources, upscaler, given, target, as_json=as_json)
