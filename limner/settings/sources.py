"""Where settings come from: flags, then ``LIMNER_*`` variables, then a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limner.errors import SettingsError
from limner.settings import refusals
from limner.settings.fields import CLIENT_VARIABLES, CONFIG_VARIABLE, PREFIX, Settings, flag, home


def load(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Settings from ``flags`` (None means not given), then ``environ``, then the TOML ``file``.

    Without ``file``, the one named by ``LIMNER_CONFIG``, else
    ``$XDG_CONFIG_HOME/limner/limner.toml`` where it exists. Raises ``SettingsError``.
    """
    environ = os.environ if environ is None else environ
    if file is None and environ.get(CONFIG_VARIABLE):
        file = Path(environ[CONFIG_VARIABLE])
    given: dict[str, tuple[str, Any]] = {}
    for name, value in _from_file(file, environ).items():
        given[name] = (f"{name} in the settings file", value)
    for name, value in _from_environ(environ).items():
        given[name] = (PREFIX + name.upper(), value)
    for name, value in (flags or {}).items():
        if value is not None:
            given[_known(name, flag(name))] = (flag(name), value)
    try:
        made = Settings.model_validate({name: value for name, (_, value) in given.items()})
    except ValidationError as error:
        raise refusals.wrong(error, given) from error
    made._file = file
    return made


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        _known(variable.removeprefix(PREFIX).lower(), variable): value
        for variable, value in environ.items()
        if variable.startswith(PREFIX) and variable not in (CONFIG_VARIABLE, *CLIENT_VARIABLES)
    }


def _from_file(file: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    if file is None:
        file = home("XDG_CONFIG_HOME", ".config", environ) / "limner.toml"
        if not file.is_file():
            return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {file} is not TOML: {error}") from error
    return {_known(name, f"{name} in {file}"): value for name, value in values.items()}


def _known(name: str, shown: str) -> str:
    if name not in Settings.model_fields:
        raise refusals.unknown(name, shown, Settings.model_fields)
    return name
