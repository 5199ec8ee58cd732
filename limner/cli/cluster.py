"""``limner cluster``: what a cluster that others run has to be told."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from limner.cli import terminal
from limner.cli.configured import MODELS, configured
from limner.settings import Settings
from limner.settings.replicas import ReplicaSettings

IMAGE = "limner:latest"
app = typer.Typer(help="Write files for a cluster of replicas.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``manifest`` a command of its own, though it is the only one."""


@app.command("manifest")
@configured(*MODELS, *ReplicaSettings.model_fields, "data_dir", "drain_s", "queue_max_requests")
def manifest(
    kind: Annotated[
        Literal["serve", "kuberay"],
        typer.Option(help="serve.yaml for `serve deploy`, or a RayService for KubeRay."),
    ] = "serve",
    image: Annotated[
        str, typer.Option(help="Of KubeRay's pods; holds Limner with the extra `ray`.")
    ] = IMAGE,
    *,
    settings: Settings,
) -> None:
    """Print what makes the replicas of these settings on a cluster; no secret is in it.

    Servers with --engine ray and --ray-address draw on them then and deploy nothing themselves.
    """
    import yaml

    from limner.replicas import manifest as files

    made = files.serve_config(settings)
    if kind == "kuberay":
        made = files.ray_service(settings, image)
    terminal.say(yaml.safe_dump(made, sort_keys=False), end="")
