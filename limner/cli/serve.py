"""``limner serve``: the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import options


def serve(
    host: Annotated[str | None, typer.Option(help="Address. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one. Default: 8420.")
    ] = None,
    data_dir: options.DataDir = None,
    model: options.Model = None,
    vae: options.Vae = None,
    device: options.Device = None,
    database_url: options.DatabaseUrl = None,
    public_url: Annotated[str | None, typer.Option(help="Where clients reach this server.")] = None,
    accept_license: Annotated[
        bool | None, typer.Option(help="The key of the first start accepts the model's licence.")
    ] = None,
    slug: Annotated[str | None, typer.Option(help="Name in the path. Default: sd1.5-rpg.")] = None,
    open_sdapi: Annotated[
        bool | None,
        typer.Option(help="AUTOMATIC1111's calls need no key on this machine."),
    ] = None,
    keep_days: Annotated[int | None, typer.Option(help="How long pictures are kept.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file in TOML.")] = None,
) -> None:
    """Serve pictures over HTTP.

    Every setting of docs/settings.md can also be given as a LIMNER_* variable or in a TOML file.
    """
    from limner.cli import serving
    from limner.engine import layouts
    from limner.settings import load

    flags = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "model": model,
        "vae": vae,
        "device": device,
        "database_url": database_url,
        "public_url": public_url,
        "accept_license": accept_license,
        "slug": slug,
        "open_sdapi": open_sdapi,
        "keep_days": keep_days,
    }
    settings = load(flags, file=config)
    layouts.check(settings.model, settings.vae)  # a wrong file stops the start, not the first call
    serving.run(settings)
