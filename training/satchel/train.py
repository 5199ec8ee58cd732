"""`python -m training.satchel.train NAME`: train one file of the satchel, or go on training it.

Squire is frozen; what is trained learns from the painter's pictures. A checkpoint is kept in the
working folder's `satchel`; the same command resumes, and the finished file lies beside it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from training.paths import work_dir
from training.satchel import consistency, lora, negative, silhouette
from training.satchel.learning import Course, Lessons, Student, denoising_loss

CONTENTS = ("cutout",)
"""LoRAs that change what is drawn, not only how: they change attention as well."""
METADATA = {"ss_network_module": "networks.lora", "ss_base_model_version": "sd_v1"}


@dataclass(frozen=True)
class Options:
    """What a training is told: its name, its steps, its pictures, and the folder for its files.

    ``trained``: a file of the ControlNet to begin with.
    """

    name: str
    steps: int
    pictures: int
    bfloat16: bool
    folder: Path
    trained: Path | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.pt"

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.safetensors"


def style(told: Options) -> None:
    """A LoRA that draws a variant."""
    student = Student(told.bfloat16)
    put = lora.attach(student.unet, rank=8, attention=told.name in CONTENTS)
    course = Course(told.checkpoint, lora.weights(put), told.steps)
    lessons = Lessons(told.name, told.pictures, seed=1000 + course.step)
    faint = told.name in CONTENTS
    course.run(lambda: denoising_loss(student, lessons, faint=faint))
    lora.save(put, told.file, METADATA)


def few_steps(told: Options) -> None:
    """The LCM-LoRA."""
    student = Student(told.bfloat16)
    put = lora.attach(student.unet, rank=12, attention=True)
    course = Course(told.checkpoint, lora.weights(put), told.steps, peak=1.5e-3)
    courses = consistency.Courses(student, put, told.pictures, seed=1000 + course.step)
    course.run(lambda: consistency.loss(student, courses))
    lora.save(put, told.file, METADATA)


def bad(told: Options) -> None:
    """The embedding for negative prompts."""
    student = Student(told.bfloat16)
    words = negative.attach(student.text)
    course = Course(told.checkpoint, [words.own], told.steps, peak=negative.RATE)
    drawings = negative.Bad(student, min(told.pictures, 512), seed=1000 + course.step)
    course.run(lambda: negative.loss(student, words, drawings))
    words.save(told.file)


def control(told: Options) -> None:
    """The ControlNet that follows a silhouette."""
    student = Student(told.bfloat16)
    net = silhouette.build(student, told.trained)
    weights = silhouette.weights(net)
    peak = silhouette.RATE if told.trained is None else silhouette.RATE / 2
    course = Course(told.checkpoint, weights, told.steps, peak=peak)
    lessons = Lessons("moved", told.pictures, seed=1000 + course.step)
    course.run(lambda: silhouette.loss(student, net, lessons))
    silhouette.save(net, told.file)


TRAININGS: dict[str, tuple[Callable[[Options], None], int]] = {
    "cutout": (style, 1200),
    "handheld": (style, 1000),
    "night": (style, 700),
    "floral": (style, 700),
    "squire-lcm": (few_steps, 1000),
    "squire-negative": (bad, 200),
    "squire-silhouette": (control, 800),
}
"""What trains each file, and for how many steps."""


def main() -> None:
    """Train one by its name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(TRAININGS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--from", type=Path, dest="trained", help="of a ControlNet: to begin with")
    options = parser.parse_args()
    os.nice(options.nice)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = work_dir() / "satchel"
    folder.mkdir(exist_ok=True)
    train, steps = TRAININGS[options.name]
    steps = options.steps or steps
    told = (options.name, steps, options.pictures, options.bfloat16, folder, options.trained)
    train(Options(*told))


if __name__ == "__main__":
    main()
