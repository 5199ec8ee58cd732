"""``limner serve``: the server. Every setting is a flag."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from limner.settings import Settings, load


def serve(config: Path | None = None, **flags: Any) -> None:
    """Serve pictures over HTTP.

    Every option but --config can also be given as a LIMNER_* variable or in a TOML file: see
    docs/settings.md.
    """
    from limner.cli import serving
    from limner.engine import layouts

    settings = load(flags, file=config)
    layouts.check(settings.model, settings.vae)  # a wrong file stops the start, not the first call
    serving.run(settings)


def _options() -> Iterator[inspect.Parameter]:
    for name, field in Settings.model_fields.items():
        yield _option(name, _kind(field.annotation), _told(field))
    yield _option("config", Path, "Settings file in TOML.")


def _option(name: str, kind: Any, told: str) -> inspect.Parameter:
    annotation = Annotated[kind | None, typer.Option(help=told)]
    only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, only, default=None, annotation=annotation)


def _kind(annotation: Any) -> type:
    """The type that the terminal reads; choices and lists are text, which the settings read."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in (bool, int, float, Path) if kind in kinds), str)


def _told(field: FieldInfo) -> str:
    if field.default_factory or field.default in (None, (), False):
        return str(field.description)
    return f"{field.description} Default: {str(field.default).removesuffix('.0')}."


serve.__signature__ = inspect.Signature(list(_options()))  # type: ignore[attr-defined]
