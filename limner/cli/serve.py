"""``limner serve``: the server. Every setting is a flag."""

from __future__ import annotations

from limner.cli.configured import configured
from limner.settings import Settings


@configured(*Settings.model_fields)
def serve(settings: Settings) -> None:
    """Serve pictures over HTTP.

    Every option but --config can also be given as a LIMNER_* variable or in a TOML file: see
    docs/settings.md.
    """
    from limner.cli import checks

    checks.model(settings)  # a wrong file stops the start, not the first call
    from limner.cli import serving

    serving.run(settings)
