"""Slugs that are bound to models: ``SLUG=NAME`` separated by commas, or a table."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

SLUG = r"^[a-z0-9][a-z0-9._-]*$"


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return {slug.strip(): name.strip() for slug, _, name in parts}


def _check(value: dict[str, str]) -> dict[str, str]:
    for slug, name in value.items():
        if not re.match(SLUG, slug) or not name:
            raise ValueError(f"{slug}={name}: it must be SLUG=NAME, such as other-slug=knight")
    return value


Slugs = Annotated[dict[str, str], BeforeValidator(_split), AfterValidator(_check)]
