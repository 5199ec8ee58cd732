"""One frozen ``Settings`` from flags, ``LIMNER_*`` variables and a TOML file, in this order."""

from limner.settings.fields import (
    CLIENT_VARIABLES,
    CONFIG_VARIABLE,
    MIB,
    PREFIX,
    Settings,
    table,
    without_password,
)
from limner.settings.sources import load

__all__ = [
    "CLIENT_VARIABLES",
    "CONFIG_VARIABLE",
    "MIB",
    "PREFIX",
    "Settings",
    "load",
    "table",
    "without_password",
]
