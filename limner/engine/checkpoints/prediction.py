"""What a checkpoint's UNet predicts, and how its schedule of noise ends.

A folder says both in its scheduler's config. A single file says it, if at all, in its metadata,
by a marker tensor, or in a ``.yaml`` of its name beside it, as AUTOMATIC1111 reads one, or a
``.yml``.

Two switches, for either occurs without the other. *Prediction*: epsilon, the noise; or v
(Salimans and Ho 2022), which most files do not mention and which drawn as epsilon gives noise.
*Zero terminal SNR* (Lin et al. 2024): the schedule of noise is rescaled so that nothing of the
picture is left at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from limner.domain.schedulers import BETAS
from limner.engine.checkpoints import configs, raw, ways
from limner.engine.checkpoints.headers import Header
from limner.errors import CheckpointError

Floats = npt.NDArray[np.float64]
Prediction = Literal["auto", "epsilon", "v"]
ZeroSnr = Literal["auto", "yes", "no"]
ClipPositions = Literal["counted", "stored"]

_BUFFER = "alphas_cumprod"
_METADATA = "modelspec.prediction_type"
_MARKERS = {"v": "v_pred", "zero": "ztsnr"}
_STEPS: int = BETAS["num_train_timesteps"]
# As files and people spell what is predicted, in small letters and with underscores.
_WORDS = {
    "eps": "epsilon", "epsilon_prediction": "epsilon", "eps_prediction": "epsilon",
    "v": "v_prediction", "v_pred": "v_prediction", "vpred": "v_prediction",
    "velocity": "v_prediction", "x0": "sample",
}  # fmt: skip
_ENDS_AT_ZERO = 1e-6  # float16's least number is below; the plain schedule ends at 0.0047
_DIFFERS = 1e-3  # more than float16 rounds away


@dataclass(frozen=True)
class Wish:
    """What an operator says over the files; ``auto`` takes what they say.

    ``text_encoder`` is the file or folder of another one; ``clip_positions`` says whether CLIP's
    position ids are 0, 1, 2, ... or those stored (``text_encoders``).
    """

    prediction: Prediction = "auto"
    zero_snr: ZeroSnr = "auto"
    text_encoder: Path | None = None
    clip_positions: ClipPositions = "counted"

    def over(self, scheduler: Mapping[str, Any]) -> dict[str, Any]:
        """``scheduler``, a scheduler's config, with what was wished."""
        changed = dict(scheduler)
        if self.prediction != "auto":
            changed["prediction_type"] = _plainly(self.prediction)
        if self.zero_snr != "auto":
            changed["rescale_betas_zero_snr"] = self.zero_snr == "yes"
        return changed


AS_TOLD = Wish()


@dataclass(frozen=True)
class Hints:
    """What a single file says: entries of a scheduler's config, and sentences for people.

    ``alone``: the entries without what is said beside the file; ``notes`` on what lies there and
    says nothing.
    """

    scheduler: Mapping[str, Any]
    told: tuple[str, ...] = ()
    alone: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def of_file(header: Header) -> Hints:
    """What a file and a ``.yaml`` beside it say; its weights are not read.

    What stands beside the file goes over what is in it, since somebody put it there later.
    """
    path, alphas = header.path, _stored(header)
    ends = {name.rsplit(".", 1)[-1] for name in header.tensors}
    config = configs.beside(path)
    beside = config.parameterization
    within = (
        (header.metadata.get(_METADATA), "its metadata"),
        ("v" if _MARKERS["v"] in ends else None, f"the tensor {_MARKERS['v']!r}"),
    )
    words = [(_plainly(word), by) for word, by in within if word]
    alone: dict[str, Any] = {"prediction_type": words[0][0]} if words else {}
    over = {"prediction_type": _plainly(beside)} if beside else {}
    words = [(_plainly(beside), config.name), *words] if beside else words
    told = [f"{shown(kind)} by {by}" for kind, by in words]
    if _MARKERS["zero"] in ends:
        alone["rescale_betas_zero_snr"] = True
        told.append(f"zero terminal SNR by the tensor {_MARKERS['zero']!r}")
    if alphas is not None:
        zero, sentence = _judged(alphas)
        alone |= {"rescale_betas_zero_snr": True} if zero else {}
        told += [sentence] if sentence else []
    return Hints(alone | over, tuple(told), alone, config.notes)


def said(alone: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """In words, what of ``now``, a scheduler's config, the model's own files do not say."""
    told, chosen = _switches(alone), _switches(now)
    return tuple(f"{name}={chosen[name]}" for name in chosen if chosen[name] != told[name])


def written(scheduler: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """A scheduler's config as a single file says it itself: metadata, and names of markers."""
    kind = scheduler.get("prediction_type")
    word = {"v_prediction": "v"}.get(str(kind), kind)
    zero = (_MARKERS["zero"],) if scheduler.get("rescale_betas_zero_snr") else ()
    return {_METADATA: word} if word else {}, zero


def schedule(scheduler: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A scheduler's config as the constructor arguments that the checkpoint ``name`` decides.

    Of a plain checkpoint these are ``BETAS``. Raises ``CheckpointError`` for what cannot be drawn.
    """
    chosen = {key: scheduler.get(key, value) for key, value in BETAS.items()}
    betas = scheduler.get("trained_betas")
    if betas is not None:
        chosen["trained_betas"] = _checked(betas, chosen["num_train_timesteps"], name)
    kind = _plainly(scheduler.get("prediction_type") or "epsilon")
    if kind not in ("epsilon", "v_prediction"):
        raise CheckpointError(
            f"{name} predicts {kind!r}; Limner draws with models that predict 'epsilon' or "
            f"'v_prediction'. {ways.PREDICTION}."
        )
    if kind == "v_prediction":
        chosen["prediction_type"] = kind
    if scheduler.get("rescale_betas_zero_snr") or _ends_in_noise(betas):
        if kind == "epsilon":
            raise CheckpointError(
                f"{name} has zero terminal SNR and predicts epsilon: of pure noise epsilon tells "
                f"nothing of the picture. {ways.ZERO_SNR}."
            )
        # Only trailing steps begin at the end of the schedule (Lin et al. 2024, section 3.3).
        chosen |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return chosen


def predicts(scheduler: Mapping[str, Any]) -> str:
    """``epsilon``, ``v-prediction`` or what else a scheduler's config, or ``schedule``, says."""
    return shown(str(_switches(scheduler)["prediction"]))


def has_zero_snr(schedule: Mapping[str, Any]) -> bool:
    """Whether a result of ``schedule`` ends in pure noise."""
    return bool(schedule.get("rescale_betas_zero_snr"))


def shown(kind: str) -> str:
    """A ``prediction_type`` in the words of people."""
    return kind.replace("_", "-")


def _switches(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """The two that a wish may set, as they are where nothing is said."""
    return {
        "prediction": _plainly(scheduler.get("prediction_type") or "epsilon"),
        "zero_snr": bool(scheduler.get("rescale_betas_zero_snr")),
    }


def _plainly(word: Any) -> Any:
    """As diffusers writes it, whichever way a file does."""
    if not isinstance(word, str):
        return word
    plain = word.strip().lower().replace("-", "_")
    return _WORDS.get(plain, plain)


def _stored(header: Header) -> Floats | None:
    """The file's own ``alphas_cumprod``, a thousand numbers, if it has them."""
    info = header.tensors.get(_BUFFER)
    return None if info is None else raw.floats(info)


def _judged(alphas: Floats) -> tuple[bool, str | None]:
    """Whether a file's ``alphas_cumprod`` end at 0, and what is to be said of them."""
    if alphas.ndim != 1 or len(alphas) != _STEPS:
        return False, f"{_BUFFER} of shape {alphas.shape} is not used"
    zero = bool(alphas[-1] <= _ENDS_AT_ZERO)
    apart = float(np.abs(alphas - (_rescaled(_plain()) if zero else _plain())).max())
    if zero:
        more = f"; it differs from the plain schedule, rescaled, by {apart:.3f}"
        return True, f"zero terminal SNR by {_BUFFER}" + (more if apart > _DIFFERS else "")
    if not apart <= _DIFFERS:
        return False, f"{_BUFFER} differs from the plain schedule by {apart:.3f} and is not used"
    return False, None


def _plain() -> Floats:
    """SD 1.5's share of signal, of the variance, at each training timestep."""
    roots = np.linspace(BETAS["beta_start"] ** 0.5, BETAS["beta_end"] ** 0.5, _STEPS)
    return np.cumprod(1 - roots**2)


def _rescaled(alphas: Floats) -> Floats:
    """Lin et al. 2024, algorithm 1: the first value stays, the last becomes 0."""
    roots = np.sqrt(alphas)
    rescaled: Floats = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return rescaled**2


def _checked(betas: Any, count: int, name: str) -> list[float]:
    """``trained_betas`` as diffusers takes them."""
    numbers = isinstance(betas, list) and all(isinstance(beta, int | float) for beta in betas)
    if numbers and len(betas) == count and all(0 < beta <= 1 for beta in betas):
        return [float(beta) for beta in betas]
    raise CheckpointError(
        f"{name}: trained_betas of the scheduler's config must be {count} numbers over 0 and up "
        "to 1, as many as num_train_timesteps."
    )


def _ends_in_noise(betas: list[float] | None) -> bool:
    return betas is not None and float(np.prod(1 - np.asarray(betas))) <= _ENDS_AT_ZERO
