"""``limner replay``: draw a picture again from its own metadata, and compare if it is ours."""

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
    file: Annotated[
        Path, typer.Argument(help="A picture of any program, a receipt's .json, or settings' .txt.")
    ],
    image: Annotated[
        Path | None, typer.Option(help="The picture that an img2img starts from.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Its mask.")] = None,
    maps: Annotated[
        list[Path] | None, typer.Option("--map", help="A map that a control follows.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to write the new picture to.")
    ] = None,
    overwrite: files.Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Of another program's: say what would be drawn.")
    ] = False,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Draw a picture again, and one of Limner's say whether it is identical.

    A receipt is read from the file's metadata (PNG, JPEG, WebP) or from a .json; exit status 1 when
    pixels differ. Pictures and masks that it starts from are looked for among those that this
    machine's server keeps, unless they are given. Without a receipt, settings of AUTOMATIC1111 and
    its kin are read; what is missing, and what cannot be the same, is told.
    """
    from limner.cli import foreign, replaying

    if files.format_of(output) != "png":
        raise SettingsError(f"-o is {output}; the new picture is written as .png.")
    files.refuse_taken([output] if output else [], overwrite=overwrite)
    given = {"image": image, "mask": mask}
    text = foreign.text_of(file)
    if text is not None:
        target = foreign.Target(output, dry=dry_run)
        foreign.run(settings, text, given, target, as_json=as_json)
        return
    if not replaying.run(settings, file, given, output, maps=maps or (), as_json=as_json):
        raise typer.Exit(1)
