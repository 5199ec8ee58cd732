"""``limner pictures``: where the files of stored pictures lie."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.cli import terminal
from limner.cli.configured import PLACE, configured
from limner.errors import SettingsError
from limner.settings import Settings

app = typer.Typer(help="Move the files of stored pictures.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``move`` a command of its own, though it is the only one."""


@app.command("move")
@configured(*PLACE, "pictures")
def move(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the files on the disk.")] = False,
    *,
    settings: Settings,
) -> None:
    """Move the pictures from this machine's disk to the bucket of --pictures.

    It may be broken off and begun again, and run while a server draws. Begin a server with
    --pictures first, so that nothing new comes to the disk.
    """
    from limner.cli import databases
    from limner.store.files import open_files
    from limner.usecases.pictures import moving

    if settings.pictures is None:
        raise SettingsError("pictures is not set: name the bucket with --pictures s3://...")
    with databases.opened(settings) as database:
        places = [open_files(it, database) for it in (settings.pictures_dir, settings.pictures)]
        moved = moving.move(database, *places, keep=keep, tell=_tell)
    terminal.say(f"{moved.files} files moved, {moved.bytes / 2**20:.1f} MiB")
    if moved.already:
        terminal.say(f"{moved.already} were there already")
    for name in moved.missing:
        terminal.note(f"missing in both places: {name}")
    if moved.missing:
        raise typer.Exit(1)


def _tell(done: int) -> None:
    if done % 1000 == 0:
        terminal.note(f"{done} files")
