"""``limner``: the terminal's way in. Heavy imports live inside the commands."""

from __future__ import annotations

import errno
import os

import typer

# The terminal draws from files on this machine; nothing asks a model hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from limner.cli import terminal
from limner.cli.cluster import app as cluster_app
from limner.cli.credits import credits_app
from limner.cli.doctor import doctor
from limner.cli.draw import draw
from limner.cli.explain import explain
from limner.cli.keys import keys_app
from limner.cli.models import app as models_app
from limner.cli.pictures import app as pictures_app
from limner.cli.replay import replay
from limner.cli.serve import serve
from limner.cli.sheets import flow, grid, styles_app
from limner.cli.upscale import upscale
from limner.cli.usage import usage
from limner.errors import LimnerError

FULL = (errno.ENOSPC, errno.EDQUOT)  # what a command printed went to a file on a full disk

typer_app = typer.Typer(
    name="limner",
    help="A self-hosted image server for RPG V4 and every other Stable Diffusion 1.5 checkpoint.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
typer_app.command()(serve)
typer_app.command()(draw)
typer_app.command()(grid)
typer_app.command()(flow)
typer_app.add_typer(styles_app, name="styles")
typer_app.command()(replay)
typer_app.command()(upscale)
typer_app.command()(explain)
typer_app.add_typer(keys_app, name="keys")
typer_app.add_typer(credits_app, name="credits")
typer_app.command()(usage)
typer_app.add_typer(models_app, name="models")
typer_app.add_typer(pictures_app, name="pictures")
typer_app.add_typer(cluster_app, name="cluster")
typer_app.command()(doctor)


def app() -> None:
    """Run a command; a mistake is one sentence on standard error and exit status 1."""
    try:
        typer_app()
    except LimnerError as error:
        terminal.note(f"limner: {error}")
        raise SystemExit(1) from error
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise  # no file of the user's: a fault of ours, to be seen whole
        terminal.note(f"limner: {error.filename or 'output'}: {error.strerror}")
        raise SystemExit(1) from error
