"""One recorded request, and how it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REFERENCE = re.compile(r"\$\(([^)]+)\)")


@dataclass(frozen=True)
class Call:
    """A request by its ``name``, which is unique.

    ``$(name.path.to.it)`` in a text stands for what the answer to an earlier call held there;
    ``key`` names the call that made the key to send, and "" sends none. ``wait`` asks again until
    no request in the answer is open.
    """

    name: str
    method: str
    path: str
    json: Any = None
    data: Mapping[str, str] | None = None
    files: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = "key-me"
    wait: bool = False

    def filled_path(self, told: Mapping[str, Any]) -> str:
        """The path, with what earlier answers held."""
        path: str = filled(self.path, told)
        return path

    def options(self, told: Mapping[str, Any], admin: str) -> dict[str, Any]:
        """Arguments of ``httpx.Client.request``; ``told`` are the earlier answers by name."""
        wanted = {"json": self.json, "data": self.data, "content": self.content}
        options = {name: filled(value, told) for name, value in wanted.items() if value is not None}
        if self.files is not None:
            options["files"] = self.files
        secret = admin if self.key == "admin" else filled(f"$({self.key}.key)", told)
        key = {"x-api-key": secret} if self.key else {}
        return {**options, "headers": {**key, **filled(dict(self.headers), told)}}


def filled(value: Any, told: Mapping[str, Any]) -> Any:
    """``value`` with every reference replaced by what it stands for."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda found: str(_at(found[1], told)), value)
    if isinstance(value, dict):
        return {name: filled(each, told) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, told) for each in value]
    return value


def _at(path: str, told: Mapping[str, Any]) -> Any:
    name, *parts = path.split(".")
    found = told[name]
    for part in parts:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found
