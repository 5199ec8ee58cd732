"""k-diffusion's own loops (Crowson, MIT) with a stand-in for the UNet: the oracle of the rules.

The package imports much that nothing here needs, so its files are loaded by themselves.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from limner.domain.sampler_names import SamplerName
from limner.domain.schedulers import BETAS
from tests.engine.sampling import plain

FUNCTIONS: dict[SamplerName, tuple[str, dict[str, Any]]] = {
    "Euler a": ("sample_euler_ancestral", {}),
    "Euler": ("sample_euler", {}),
    "LMS": ("sample_lms", {}),
    "Heun": ("sample_heun", {}),
    "DPM2": ("sample_dpm_2", {}),
    "DPM2 a": ("sample_dpm_2_ancestral", {}),
    "DPM++ 2S a": ("sample_dpmpp_2s_ancestral", {}),
    "DPM++ 2M": ("sample_dpmpp_2m", {}),
    "DPM++ SDE": ("sample_dpmpp_sde", {}),
    "DPM++ 2M SDE": ("sample_dpmpp_2m_sde", {}),
    "DPM++ 2M SDE Heun": ("sample_dpmpp_2m_sde", {"solver_type": "heun"}),
    "DPM++ 3M SDE": ("sample_dpmpp_3m_sde", {}),
    # DDIM without noise is Euler's step in these variables; with it, the ancestral one.
    "DDIM": ("sample_euler_ancestral", {"eta": 0.0}),
}


@lru_cache(maxsize=1)
def package() -> dict[str, ModuleType]:
    """``sampling`` and ``external`` of k-diffusion."""
    spec = importlib.util.find_spec("k_diffusion")
    assert spec is not None, "k-diffusion is not installed: make test sees to it"
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    shell, utils = ModuleType("k_diffusion"), ModuleType("k_diffusion.utils")
    shell.__path__ = [str(folder)]
    utils.append_dims = lambda x, ndim: x[(...,) + (None,) * (ndim - x.ndim)]  # type: ignore[attr-defined]
    solvers = ModuleType("torchdiffeq")
    solvers.odeint = None  # type: ignore[attr-defined]
    stand_ins = {
        "k_diffusion": shell,
        "k_diffusion.utils": utils,
        "torchdiffeq": solvers,
        "torchsde": ModuleType("torchsde"),
    }
    with patch.dict(sys.modules, stand_ins):
        shell.utils = utils  # type: ignore[attr-defined]
        names = ("sampling", "external")
        for name in names:
            setattr(shell, name, importlib.import_module(f"k_diffusion.{name}"))
        return {name: getattr(shell, name) for name in names}


def alphas_cumprod(*, zero_snr: bool = False) -> torch.Tensor:
    """SD 1.5's share of signal, of the variance; rescaled as Lin et al. 2024, algorithm 1."""
    ends = BETAS["beta_start"] ** 0.5, BETAS["beta_end"] ** 0.5
    alphas = np.cumprod(1 - np.linspace(*ends, 1000) ** 2)
    if zero_snr:
        roots = np.sqrt(alphas)
        alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
        alphas[-1] = 2.0**-24
    return torch.from_numpy(alphas)


def denoiser(*, v: bool = False, zero_snr: bool = False) -> Any:
    """k-diffusion's wrapping of a UNet, with ``plain.model`` as the UNet."""
    external = package()["external"]
    wrapped = external.DiscreteVDDPMDenoiser if v else external.DiscreteEpsDDPMDenoiser
    return wrapped(
        lambda x, t: plain.model(x, float(t)), alphas_cumprod(zero_snr=zero_snr), quantize=False
    )


@contextmanager
def drawing_from(noise: Iterator[torch.Tensor]) -> Iterator[None]:
    """Where a loop draws by itself, it draws from ``noise``."""
    with patch.object(torch, "randn_like", lambda _: next(noise)):
        yield


def loop(
    sampler: SamplerName,
    sigmas: Any,
    *,
    v: bool = False,
    zero_snr: bool = False,
    from_source: bool = False,
    mask: torch.Tensor | None = None,
    **options: float,
) -> torch.Tensor:
    """The finished latent, in float64; noise is that of ``plain.drawn_by``, a draw a question."""
    g = torch.Generator().manual_seed(plain.SEED)
    draws = (torch.randn(plain.SHAPE, generator=g).double() for _ in iter(int, 1))
    levels = torch.as_tensor(np.array(sigmas))
    z0 = plain.source().double()
    x = next(draws) * levels[0] + (z0 if from_source else 0)
    inner = denoiser(v=v, zero_snr=zero_snr)

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return plain.kept_where(mask, inner(x, sigma), z0)

    finished = run(sampler, model, x, levels, draws, **options)
    return plain.kept_where(mask, finished, z0)


def run(
    sampler: SamplerName,
    model: Any,
    x: torch.Tensor,
    levels: torch.Tensor,
    draws: Iterator[torch.Tensor],
    **options: float,
) -> torch.Tensor:
    """The package's loop; whatever noise it wants is the next of ``draws``."""
    name, fixed = FUNCTIONS[sampler]
    function = partial(getattr(package()["sampling"], name), model, x, levels, disable=True)
    noisy = "noise_sampler" in inspect.signature(function.func).parameters
    given = {"noise_sampler": lambda *_: next(draws)} if noisy else {}
    with drawing_from(draws):
        finished: torch.Tensor = function(**fixed | given | options)
    return finished
