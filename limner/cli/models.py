"""``limner models list | inspect | import``: the checkpoints at hand and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.cli import checks, inspecting, options, terminal
from limner.cli.configured import configured
from limner.errors import CheckpointError, InvalidInput
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.engine.checkpoints.parts import Layout
    from limner.engine.checkpoints.prediction import Wish

app = typer.Typer(help="List, inspect and import checkpoints.", no_args_is_help=True)


@app.command("list")
@configured("data_dir", "models_dirs", "vae")
def list_models(as_json: options.Json = False, *, settings: Settings) -> None:
    """List the library: the embedded model, imported ones, and those in --models-dir."""
    from limner.cli import listing

    listing.show(settings, as_json=as_json)


@app.command("inspect")
@configured("vae", "text_encoder", "clip_positions", "prediction", "zero_snr")
def inspect_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint's file or a diffusers folder.")
    ],
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Say what a file is: kind, precision, SHA-256, parameters, licence, and whether it loads."""
    facts = inspect(file, checks.wish(settings), settings.vae)
    if as_json:
        terminal.data(facts, indent=2)
    else:
        terminal.say(_as_lines(facts))


@app.command("import")
@configured("data_dir", "models_dirs", "prediction", "zero_snr")
def import_model(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A checkpoint's, VAE's or pickled LoRA's file, or a folder."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All pickled checkpoints, VAEs and LoRAs of the library.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="New name. Default: the file's own.")] = None,
    precision: Annotated[
        str, typer.Option(help="keep, or float16 to store half the bytes of float32.")
    ] = "keep",
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", help="Licence id. Default: the source's, or else creativeml-openrail-m."
        ),
    ] = None,
    ema: Annotated[
        bool, typer.Option("--ema", help="Take the UNet's EMA copy, where the file has one.")
    ] = False,
    vae: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>", help="VAE to write in place of the file's, or for one without."
        ),
    ] = None,
    text_encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Text encoder to write in place of the file's, or for one without.",
        ),
    ] = None,
    as_json: options.Json = False,
    *,
    settings: Settings,
) -> None:
    """Convert a checkpoint to safetensors, with SHA-256, provenance and licence beside it.

    A pickle (.ckpt, .bin) is read without running it; one that asks for code is refused.
    """
    from limner.cli import importing

    wish = replace(checks.wish(settings), text_encoder=text_encoder)
    wanted = importing.Wanted(precision, licence, ema, wish, vae)
    if every and (file or name):
        raise InvalidInput("all", "--all imports under the files' own names; leave FILE and --name")
    if every and wanted.named:
        raise InvalidInput("all", "--all keeps each file's parts; leave --vae and --text-encoder")
    if file is None and not every:
        raise InvalidInput("file", "FILE is missing; name one, or say --all")
    folder = models_dir(settings)
    if file is None:
        importing.every(settings, folder, wanted, as_json=as_json)
    else:
        importing.one(file, folder, name, wanted, as_json=as_json)


def models_dir(settings: Settings) -> Path:
    """The folder of imported models."""
    return settings.data_dir / "models"


def inspect(path: Path, wish: Wish | None = None, vae: Path | None = None) -> dict[str, Any]:
    """The facts of a file or folder as plain JSON types.

    ``loadable`` is what ``weights.load`` would find with ``vae``, ``refusal`` what it would say.

    Raises:
        CheckpointError: it cannot be read at all; a LoRA or an SDXL file is described, not raised.
    """
    from limner.engine.checkpoints import folders
    from limner.engine.checkpoints.prediction import AS_TOLD
    from limner.engine.onnx.kinds import SUFFIX

    wish, path = wish or AS_TOLD, folders.alone(path)
    facts = _folder_facts(path, wish, vae) if path.is_dir() else _file_facts(path, wish, vae)
    onnx = path.suffix.lower() == SUFFIX
    refusal = f"{path.name} is {facts['description']}." if onnx else _refusal(path, wish, vae)
    return facts | {"loadable": refusal is None, "refusal": refusal}


def _refusal(path: Path, wish: Wish, vae: Path | None) -> str | None:
    """Why the engine would not load it; PyTorch is asked only where the headers tell nothing."""
    from limner.engine.checkpoints import layouts

    try:
        layout, parts = layouts.chosen(path, vae, wish)
        if path.resolve() == layouts.EMBEDDED:
            return None  # the package's own, which its tests load
        from limner.engine.checkpoints import weights

        weights.verify(layout, parts, numbers=True)
    except CheckpointError as error:
        return str(error)
    return None


def _file_facts(path: Path, wish: Wish, vae: Path | None) -> dict[str, Any]:
    from limner.engine.checkpoints import adapters, upscalers
    from limner.engine.checkpoints.digests import sha256
    from limner.engine.checkpoints.inspection import DESCRIPTIONS, LOADED, kind_of, read_header
    from limner.engine.onnx import kinds

    if path.suffix.lower() == kinds.SUFFIX:
        return kinds.facts(path)
    header = read_header(path)
    kind = kind_of(header)
    facts: dict[str, Any] = {
        "path": str(path),
        "kind": kind,
        "description": DESCRIPTIONS[kind],
        "pickled": header.pickled,
        "precision": header.precision,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "tensors": len(header.tensors),
        "parameters": {"all": header.parameters("")},
    }
    facts |= inspecting.faults(path, header, kind)
    if kind in adapters.KINDS:
        return facts | adapters.facts(header, kind)
    if kind == "upscaler":
        return facts | upscalers.facts(header)
    return facts | _whole_facts(path, wish, vae) if kind in (*LOADED, "unet") else facts


def _whole_facts(path: Path, wish: Wish, vae: Path | None) -> dict[str, Any]:
    """What is known of a checkpoint in a file or a folder, and of the parts named with it."""
    from limner.engine.checkpoints import folders
    from limner.engine.checkpoints.layouts import chosen, read_layout
    from limner.engine.checkpoints.parts import PREFIXES, told
    from limner.models import taught

    try:
        layout = read_layout(path)
    except CheckpointError:  # which ``refusal`` tells
        return {}
    try:
        notes = told(*chosen(path, vae, wish))
    except CheckpointError:  # the same
        notes = layout.notes
    counts = {
        name: sum(h.parameters("" if part.alone else PREFIXES[name]) for h in part.headers)
        for name, part in layout.parts.items()
    }
    facts: dict[str, Any] = {"source_sha256": layout.source_sha256, "notes": list(notes)}
    facts["few_steps"] = taught.of_path(path)
    facts |= _prediction_facts(replace(layout, scheduler=wish.over(layout.scheduler)))
    kind = folders.kind(layout.parts)
    return facts | _size_facts(counts, kind) | _licence_facts(path, layout.licence)


def _folder_facts(path: Path, wish: Wish, vae: Path | None) -> dict[str, Any]:
    from limner.engine.checkpoints import folders
    from limner.engine.checkpoints.inspection import DESCRIPTIONS
    from limner.engine.checkpoints.layouts import read_layout
    from limner.engine.checkpoints.parts import pickled

    layout = read_layout(path)
    kind = folders.kind(layout.parts)
    headers = {header.path: header for part in layout.parts.values() for header in part.headers}
    facts = {
        "path": str(path),
        "kind": kind,
        "description": DESCRIPTIONS[kind],
        "pickled": pickled(layout.parts),
        "precision": layout.precision,
        "bytes": sum(file.stat().st_size for file in layout.files),
        "sha256": layout.sha256,
        "tensors": sum(len(header.tensors) for header in headers.values()),
    }
    return facts | _whole_facts(path, wish, vae)


def _prediction_facts(layout: Layout) -> dict[str, Any]:
    """How it predicts, and by what it says so."""
    from limner.engine.checkpoints import prediction

    try:
        schedule: Mapping[str, Any] = layout.schedule()
    except CheckpointError:  # which ``refusal`` tells
        schedule = layout.scheduler
    return {
        "prediction": prediction.predicts(layout.scheduler),
        "zero_snr": prediction.has_zero_snr(schedule),
        "hints": list(layout.told),
    }


def _size_facts(counts: dict[str, int], kind: str) -> dict[str, Any]:
    from limner.engine.checkpoints.inspection import INPAINTING_MORE, SD15_PARAMETERS

    more = INPAINTING_MORE if kind == "sd1-inpainting" else 0
    expected = SD15_PARAMETERS | {"unet": SD15_PARAMETERS["unet"] + more}
    return {"parameters": counts, "size_of_sd15": counts == expected}


def _licence_facts(path: Path, named: str | None) -> dict[str, Any]:
    from limner.domain import licences
    from limner.engine.checkpoints.layouts import EMBEDDED

    licence = licences.find(named)
    _, attribution, source = licences.origin(path, licence, embedded=path.resolve() == EMBEDDED)
    return {
        "licence": licence.id,
        "licence_needs_acceptance": licence.needs_acceptance,
        "attribution": list(attribution),
        "source": source,
    }


def _as_lines(facts: dict[str, Any]) -> str:
    """The facts as aligned lines for a terminal."""
    shown = {**facts, "bytes": f"{facts['bytes']:,}"}
    if "parameters" in facts:
        shown["parameters"] = _counts(facts["parameters"])
    if "trigger_words" in facts:
        shown["trigger_words"] = ", ".join(facts["trigger_words"]) or "none named"
    if "parts" in facts:
        shown["parts"] = ", ".join(facts["parts"]) or "none known"
    if "notes" in facts:
        shown["notes"] = "; ".join(facts["notes"]) or "none"
    if "attribution" in facts:
        shown["attribution"] = "; ".join(facts["attribution"]) or "none named"
    if "hints" in facts:
        shown["hints"] = "; ".join(facts["hints"]) or "none"
    if "few_steps" in facts:
        shown["few_steps"] = inspecting.few_steps(facts["few_steps"])
    shown = {name: value for name, value in shown.items() if value is not None}
    words = {True: "yes", False: "no"}
    return "\n".join(
        f"{name.replace('_', ' '):<26}{words[value] if isinstance(value, bool) else value}"
        for name, value in shown.items()
    )


def _counts(parameters: dict[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in parameters.items())
