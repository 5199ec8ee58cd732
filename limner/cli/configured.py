"""How every command gets the settings: the flags, variables and file of ``limner serve``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from limner.settings import Settings, flag, load

Command = Callable[..., None]
PLACE = ("data_dir", "database_url")
MODEL = (
    "model", "vae", "text_encoder", "clip_positions", "prediction", "zero_snr", "device", "dtype",
)  # fmt: skip
MODELS = (*MODEL, "models_dirs", "few_steps")


def configured(*told: str) -> Callable[[Command], Command]:
    """Give a command ``--config`` and every setting as a flag, and hand it its ``settings``.

    Its help tells those of ``told``, on which it acts. Where the command has an option of a
    setting's name, that name is the command's own.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        flags = [name for name in Settings.model_fields if name not in own.parameters]

        @functools.wraps(command)
        def run(*, config: Path | None, **given: Any) -> None:
            chosen = {name: given.pop(name) for name in flags}
            chosen = {name: None if value == [] else value for name, value in chosen.items()}
            settings = load(chosen, file=config)
            command(**given, **({"settings": settings} if "settings" in own.parameters else {}))

        kept = [each for name, each in own.parameters.items() if name != "settings"]
        added = [_option(name, hidden=name not in told) for name in flags]
        run.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*_by_name(kept), *added, _config()]
        )
        return run

    return decorate


def _by_name(parameters: list[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """The same, to be given by name, as Typer does."""
    for parameter in parameters:
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _config() -> inspect.Parameter:
    return _parameter("config", Path, typer.Option(help="Settings file in TOML."))


def _option(name: str, *, hidden: bool) -> inspect.Parameter:
    field = Settings.model_fields[name]
    several = field.annotation == tuple[Path, ...]
    shown = "<path>" if several else None
    option = typer.Option(flag(name), help=_told(field), hidden=hidden, metavar=shown)
    return _parameter(name, list[Path] if several else _kind(field.annotation), option)


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    only = inspect.Parameter.KEYWORD_ONLY
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, only, default=None, annotation=annotation)


def _kind(annotation: Any) -> type:
    """The type that the terminal reads; choices and lists are text, which the settings read."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in (bool, int, float, Path) if kind in kinds), str)


def _told(field: FieldInfo) -> str:
    if field.default_factory or field.default in (None, (), {}, False):
        return str(field.description)
    return f"{field.description} Default: {str(field.default).removesuffix('.0')}."
