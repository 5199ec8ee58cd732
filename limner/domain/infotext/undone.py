"""Settings of other programs that are not done here: by the beginning of their names, and why.

A capability that comes to be done loses its row here, and gains one in ``meaning``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SHOWN_MAX = 120

# A row's sentence goes on from the settings that it stands for. The first that fits counts.
ROWS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hires checkpoint",), "both passes are drawn with the same checkpoint"),
    (("Hires",), "left out"),
    (("ADetailer", "DDetailer", "MuDDetailer", "FaceDetailer"),
     "faces and hands are not found and drawn anew"),
    (("ControlNet",), "its picture is not in the text; drawn without it"),
    (("Refiner",), "a second checkpoint does not take over"),
    (("Seamless",), "edges do not meet"),
    (("Face restoration", "CodeFormer", "GFPGAN"), "faces are not restored"),
    (("Hypernet",), "hypernetworks are not known here"),
    (("Dynamic thresholding", "Mimic", "Threshold percentile", "CFG mode", "CFG scale min",
      "CFG scheduler", "Scaling Startpoint", "Variability Measure", "Interpolate Phi",
      "Separate Feature Channels"), "dynamic thresholding was left out"),
    (("CFG Rescale", "CFG end", "Guidance rescale", "NGMS", "Skip Early CFG"),
     "guidance is the same in all steps"),
    (("Token merging", "ToMe"), "tokens are not merged; details differ"),
    (("FreeU", "Kohya", "Deep Shrink"), "left out"),
    (("SAG ", "SAG_", "PAG ", "PAG_", "Self Attention", "Perturbed", "SEG ", "SEG_"),
     "attention guidance was left out"),
    (("Regional Prompter", "RP ", "Latent Couple", "Attention Couple", "Forge Couple"),
     "the prompt acts on the whole picture"),
    (("Tiled Diffusion", "MultiDiffusion", "Tiled VAE", "Ultimate SD", "SD upscale", "Upscale",
      "Postprocess"), "the picture is not made larger"),
    (("Seed resize",), "noise is drawn at the picture's own size"),
    (("Mask", "Inpaint", "Soft inpainting", "Conditional mask", "Init image", "Resize mode",
      "Noise multiplier", "Image CFG"), "concerns a picture to start from"),
    (("Schedule max sigma", "Schedule min sigma", "Schedule rho", "Beta schedule",
      "Discard penultimate", "Always discard", "SGM noise"), "the schedule is the usual one"),
    (("Emphasis",), "weights act as they do by default"),
    (("X Type", "Y Type", "Z Type", "X Values", "Y Values", "Z Values", "Fixed X", "Fixed Y",
      "Script"), "drawn as one picture"),
    (("UniPC",), "UniPC is drawn as diffusers computes it"),
    (("FP8", "Diffusion in Low Bits"), "weights are kept as they are in the file"),
    (("Extra noise",), "left out"),
    (("Module ", "Distilled CFG"), "left out"),
)  # fmt: skip
# What says nothing of how the picture is drawn, or is what it was drawn from.
SILENT = (
    "Version", "AddNet", "App", "Backend", "Pipeline", "Operations", "Parser", "Created Date",
    "Date", "User", "Time taken", "Torch active", "Sys VRAM", "Batch", "Template",
    "Negative Template", "Wildcard", "Civitai", "Hashes", "Used embeddings", "Software",
    "Generator", "Creator", "Comment", "Clip model", "ControlNet Version", "ADetailer version",
    "Downcast alphas_cumprod", "Metadata", "Source", "Eta DDIM", "Parameters", "Prompt",
    "Negative prompt", "LoRA networks", "Quantity", "Draft", "NSFW", "Workflow", "Raw ",
    "Generation_mode", "App_version", "Performance", "Styles", "LoRA_", "Embedding_",
)  # fmt: skip
# Values that ask for nothing, but of the pairs after them.
_SAYING = ("Emphasis",)
_NOTHING = ("false", "none", "no", "off", "", "original", "0x0", "null", "disabled")
_UNKNOWN = "not known here; left out"
_SILENT = tuple(name.casefold() for name in SILENT)
_FOLDED = tuple((tuple(name.casefold() for name in names), why) for names, why in ROWS)


def told(pairs: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each row that some of ``pairs`` fall under, and for each unknown one."""
    found: dict[str, list[str]] = {}
    for name, value in pairs.items():
        folded = name.casefold()
        nothing = value.casefold() in _NOTHING and name not in _SAYING
        if nothing or folded.startswith(_SILENT):
            continue
        why = next((why for names, why in _FOLDED if folded.startswith(names)), _UNKNOWN)
        found.setdefault(why, []).append(f"{name}: {value}")
    for why, said in found.items():
        yield f"{shown(', '.join(said))}: {why}"


def shown(text: str) -> str:
    """One line of a readable length."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 3]}..."
