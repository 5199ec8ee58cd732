"""The command ``limner``, and ``python -m limner``: the terminal, where the server is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

NEEDED = ("typer", "rich", "sqlalchemy", "alembic", "fastapi", "uvicorn", "torch", "diffusers")


def main() -> None:
    """Run a command; without the packages of the extra ``server`` say what to install."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"limner: only the Python client is installed here ({missing[0]} is missing); "
            "the terminal and the server come with: pip install 'limner[server]'"
        )
    from limner.cli.main import app

    app()


if __name__ == "__main__":
    main()
