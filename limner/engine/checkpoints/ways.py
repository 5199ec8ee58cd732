"""The ways out at the ends of refusals: in the terminal, and over HTTP.

Files are read for both, and a refusal is one sentence, of which only this end differs: who runs a
server has options, and who asks it for a picture can name a model and a ``vae``.
"""

from __future__ import annotations

from collections.abc import Mapping

VAE = "name one with --vae"
TEXT = "name one with --text-encoder"
BOTH = "name them with --text-encoder and --vae"
OTHER_VAE = "name another with --vae"
OTHER_TEXT = "name another with --text-encoder"
WHOLE_VAE = "name a whole one with --vae"
UNET_ALONE = "which draws with the parts that --text-encoder and --vae name"
VAE_ALONE = "which belongs after --vae"
TEXT_ALONE = "which belongs after --text-encoder"
NOT_USED = "--vae names it"
PREDICTION = "Say --prediction epsilon or v where that is wrong"
ZERO_SNR = "Say --prediction v where that is what it predicts, or --zero-snr no to draw without"
IMPORT = "`limner models import` makes a copy of it that can be used"
EMA = "`limner models import --ema` takes it"

_HOST = "whoever runs this server can"
_OVER_HTTP: Mapping[str, str] = {
    VAE: "name one as `vae`",
    TEXT: f"{_HOST} import it with one",
    BOTH: f"{_HOST} import it with both",
    OTHER_VAE: "name another as `vae`",
    OTHER_TEXT: f"{_HOST} import it with another",
    WHOLE_VAE: "name a whole one as `vae`",
    UNET_ALONE: f"which {_HOST} import with the parts that it lacks",
    VAE_ALONE: "which is named as `vae`",
    TEXT_ALONE: f"with which {_HOST} import a checkpoint that has none",
    NOT_USED: "`vae` names it",
    PREDICTION: f"Where that is wrong, {_HOST} say so in a .yaml of its name beside it",
    ZERO_SNR: f"Where it predicts v, {_HOST} say so in a .yaml of its name beside it",
    IMPORT: f"{_HOST} import a copy of it that can be used",
    EMA: f"{_HOST} import it",
}


def over_http(sentence: str) -> str:
    """A refusal, or a note, for who has no terminal at the server."""
    for here, there in _OVER_HTTP.items():
        sentence = sentence.replace(here, there)
    return sentence
