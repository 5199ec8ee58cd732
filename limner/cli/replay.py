"""``limner replay``: draw a picture again from its own metadata, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import files, options
from limner.cli.configured import MODELS, PLACE, configured
from limner.errors import SettingsError
from limner.settings import Settings


@configured(*MODELS, *PLACE)
def replay(
    file: Annotated[Path, typer.Argument(help="A picture Limner wrote, or a receipt's .json.")],
    image: Annotated[
        Path | None, typer.Option(help="The picture an img2img receipt starts from.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Its mask.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to write the new picture to.")
    ] = None,
    overwrite: files.Overwrite = False,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Draw a picture again and say whether it is identical.

    The receipt is read from the file's metadata (PNG, JPEG, WebP) or from a .json. Exit status 1
    when pixels differ. Pictures and masks that a receipt starts from are looked for among those
    that this machine's server keeps, unless they are given.
    """
    from limner.cli import replaying

    if files.format_of(output) != "png":
        raise SettingsError(f"-o is {output}; the new picture is written as .png.")
    files.refuse_taken([output] if output else [], overwrite=overwrite)
    given = {"image": image, "mask": mask}
    if not replaying.run(settings, file, given, output, as_json=as_json):
        raise typer.Exit(1)
