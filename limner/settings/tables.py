"""The settings as documentation shows them."""

from __future__ import annotations

from typing import Any

from limner.settings.fields import PREFIX, Settings, flag


def table() -> str:
    """The settings as a Markdown table, from the fields above."""
    lines = ["| setting | flag | variable | default | meaning |", "|---|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory else f"`{_default(field.default)}`"
        variable = f"`{PREFIX}{name.upper()}`"
        lines.append(
            f"| `{name}` | `{flag(name)}` | {variable} | {default} | {field.description} |"
        )
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value in ((), {}):
        return "none"
    return str(value)
