"""One frozen ``Settings`` from flags, ``LIMNER_*`` variables and a TOML file, in this order."""

from limner.settings.fields import (
    CLIENT_VARIABLES,
    CONFIG_VARIABLE,
    MIB,
    PREFIX,
    Settings,
    flag,
    without_password,
)
from limner.settings.sources import load
from limner.settings.tables import table

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
