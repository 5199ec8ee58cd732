"""One frozen ``Settings`` from flags, ``LIMNER_*`` variables and a TOML file, in this order."""

from limner.settings.fields import (
    CLIENT_VARIABLES,
    CONFIG_VARIABLE,
    MIB,
    PREFIX,
    Settings,
    flag,
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
    "flag",
    "load",
    "table",
    "without_password",
]
