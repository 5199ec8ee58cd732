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
        Path,
        typer.Argument(
            help="A picture of any program, a receipt's .json, settings' .txt, or a folder."
        ),
    ],
    image: Annotated[
        Path | None, typer.Option(help="The picture that an img2img starts from.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Its mask.")] = None,
    maps: Annotated[
        list[Path] | None, typer.Option("--map", help="A map that a control follows.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to write to; of a folder, a folder.")
    ] = None,
    overwrite: files.Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be drawn.")] = False,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Draw a picture again, and one of Limner's say whether it is identical.

    A receipt is read from the file's metadata (PNG, JPEG, WebP) or from a .json; exit status 1 when
    pixels differ. Pictures and masks that it starts from are looked for among those that this
    machine's server keeps, unless they are given. Without a receipt, settings of AUTOMATIC1111 and
    its kin are read; what is missing, and what cannot be the same, is told.

    Of a folder all pictures are drawn again, a line for each; exit status 1 where one is not
    identical or cannot be drawn.
    """
    from limner.cli import foreign, replay_folder, replaying

    if file.is_dir():
        _refuse_of_one(image=image, mask=mask, map=maps)
        target = replay_folder.Target(output, overwrite=overwrite, dry=dry_run, as_json=as_json)
        if not replay_folder.run(settings, file, target):
            raise typer.Exit(1)
        return
    if files.format_of(output) != "png":
        raise SettingsError(f"-o is {output}; the new picture is written as .png.")
    files.refuse_taken([output] if output else [], overwrite=overwrite)
    given = {"image": image, "mask": mask}
    text = foreign.text_of(file)
    if text is not None:
        foreign.run(settings, text, given, foreign.Target(output, dry=dry_run), as_json=as_json)
        return
    if dry_run:
        prepared = replaying.prepare(settings, file, given, maps or ())
        replaying.tell_settings(prepared, as_json=as_json)
        return
    if not replaying.run(settings, file, given, output, maps=maps or (), as_json=as_json):
        raise typer.Exit(1)


def _refuse_of_one(**given: object) -> None:
    """Raise ``SettingsError`` where something is said that is one picture's alone."""
    said = next((name for name, value in given.items() if value), None)
    if said is not None:
        raise SettingsError(f"--{said} is of one picture, and this is a folder; replay that alone.")
