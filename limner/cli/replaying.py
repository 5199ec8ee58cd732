"""What ``limner replay`` does: find receipt and sources, draw, compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner import imaging
from limner.cli import checks, choosing, engines, files, terminal
from limner.domain.params import Generation
from limner.domain.receipt import from_receipt, prediction_of, reading_of
from limner.engine.batching.ticket import Pixels
from limner.errors import Gone, InvalidInput, MalformedBody
from limner.imaging.fitting import fit, fit_mask
from limner.settings import Settings
from limner.store.db import Database
from limner.store.files import open_files
from limner.usecases.drawing import sources
from limner.usecases.pictures import replay
from limner.web.reading.inputs import digest


@dataclass(frozen=True)
class Prepared:
    """A receipt that can be drawn again: what is drawn, and with which settings.

    ``first`` are the pixels that lay beside the receipt, None where there were none.
    """

    record: Mapping[str, Any]
    first: Pixels | None
    settings: Settings
    work: engines.Work


def run(
    settings: Settings,
    file: Path,
    given: Mapping[str, Path | None],
    output: Path | None,
    *,
    maps: Sequence[Path] = (),
    as_json: bool,
) -> bool:
    """Replay ``file``'s receipt and print the comparison; True when identical."""
    prepared = prepare(settings, file, given, maps)
    with engines.opened(prepared.settings, 1) as engine:
        compared, changed = draw(engine, prepared, output)
    _tell(compared, changed, as_json=as_json)
    return compared.identical


def prepare(
    settings: Settings, file: Path, given: Mapping[str, Path | None], maps: Sequence[Path] = ()
) -> Prepared:
    """Read ``file`` and find all that drawing it again needs.

    Raises ``InvalidInput``, ``MalformedBody`` and ``Gone``.
    """
    record, first = read(file)
    generation = from_receipt(record)
    settings = _predicting_alike(settings, record)
    settings = _drawn_alike(settings, record)
    checks.model(settings)
    replay.check_model(record, checks.card(settings))
    pixels = _given(generation, given) | _maps(generation, maps)
    pixels |= _kept(settings, sources.wanted(generation) - set(pixels))
    engines.adapter_files(settings).seek(generation)
    return Prepared(record, first, settings, engines.Work(generation, pixels))


def draw(
    engine: engines.Engine, prepared: Prepared, output: Path | None
) -> tuple[replay.Comparison, tuple[str, ...]]:
    """How the picture drawn again compares, and what has changed; it is written to ``output``."""
    [picture] = engines.draw_all(engine, [prepared.work])
    if output is not None:
        files.write(output, picture.encode("png"))
    compared = replay.judge(prepared.record, prepared.first, picture.pixels)
    return compared, replay.changed(prepared.record, picture.receipt, compared)


def tell_settings(prepared: Prepared, *, as_json: bool) -> None:
    """What would be drawn; nothing is."""
    generation = prepared.work.generation
    said = generation.model_dump(mode="json", exclude_defaults=True, exclude={"origin"})
    if as_json:
        terminal.data({"settings": said, "missing": [], "differs": []})
        return
    for name, value in said.items():
        terminal.say(f"{name}: {value}")


def _predicting_alike(settings: Settings, record: Mapping[str, Any]) -> Settings:
    """The settings that take the model to predict, and to read, as when ``record`` was made.

    What was said otherwise in the command stays, and is then refused.
    """
    prediction, zero_snr = prediction_of(record)
    _, positions = reading_of(record)
    then = {"prediction": prediction.removesuffix("-prediction")}
    then["zero_snr"] = "yes" if zero_snr else "no"
    unsaid = {name: value for name, value in then.items() if getattr(settings, name) == "auto"}
    return settings.changed(**unsaid, clip_positions=positions)


def _drawn_alike(settings: Settings, record: Mapping[str, Any]) -> Settings:
    """The settings whose model is the receipt's, where the library has it and they have not."""
    known = choosing.models(settings)
    if known.of_receipt(record) is None:
        known.identify(record)
    return choosing.with_choice(settings, known.of_receipt(record))


def read(file: Path) -> tuple[Mapping[str, Any], Pixels | None]:
    """The receipt of a picture or a ``.json``, and the picture's pixels.

    Beside a ``.json`` a PNG of the same name is looked for. Raises ``InvalidInput`` and
    ``MalformedBody``.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInput("file", f"{file} cannot be read: {error.strerror}") from error
    if file.suffix == ".json":
        picture = file.with_suffix(".png")
        pixels = imaging.read_image(picture.read_bytes()) if picture.is_file() else None
        return _parse(file, data), pixels
    record = imaging.read_metadata(data, str(file)).receipt
    if record is None or "parameters" not in record:
        raise InvalidInput("file", f"{file} holds no receipt: it was not written by Limner, or "
                           "its metadata was taken out")  # fmt: skip
    return record, imaging.read_image(data)


def _parse(file: Path, data: bytes) -> Mapping[str, Any]:
    try:
        record = json.loads(data)
    except ValueError as error:
        raise MalformedBody(f"{file} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise MalformedBody(f"{file} is no receipt: it must be a JSON object")
    return record


def _given(generation: Generation, given: Mapping[str, Path | None]) -> dict[str, Pixels]:
    """The pixels of the files named in the command, which must be those of the receipt."""
    source = generation.source
    names = {} if source is None else {"image": source.sha256, "mask": source.mask_sha256}
    found: dict[str, Pixels] = {}
    for name, path in given.items():
        if path is None:
            continue
        size = _size(generation, given["image"])
        forms = _forms(generation, name, path.read_bytes(), size)
        if (sha256 := names.get(name)) not in forms:
            raise InvalidInput(name, f"{path} is not the {name} that this receipt starts from")
        found[sha256] = forms[sha256]
    return found


def _maps(generation: Generation, files: Sequence[Path]) -> dict[str, Pixels]:
    """The maps named in the command, finished as they were followed; and masks of regions."""
    names = set(generation.maps)
    found: dict[str, Pixels] = {}
    for path in files:
        data = path.read_bytes()
        mask = Image.fromarray(imaging.read_mask(data, "map"))
        fitted = np.asarray(fit_mask(mask, generation.width, generation.height, "crop"))
        forms = {digest(form): form for form in (imaging.read_image(data, "map"), fitted)}
        if not names & forms.keys():
            raise InvalidInput("map", f"{path} is no map that this receipt follows")
        found |= {name: form for name, form in forms.items() if name in names}
    return found


def _size(generation: Generation, image: Path | None) -> tuple[int, int]:
    """Width and height at which pictures were kept: the size to draw, or the picture's own."""
    source = generation.source
    if source is None or not source.only_masked or image is None:
        return generation.width, generation.height
    height, width = imaging.read_image(image.read_bytes(), "image").shape[:2]
    return width, height


def _forms(
    generation: Generation, name: str, data: bytes, size: tuple[int, int]
) -> dict[str, Pixels]:
    """A file's pixels at that size, which receipts name, and as older ones name them."""
    load, fitting = (imaging.read_mask, fit_mask) if name == "mask" else (imaging.read_image, fit)
    pixels, source = load(data, name), generation.source
    mode = "crop" if source is None else source.resize_mode
    mode = "stretch" if source is not None and source.only_masked else mode
    fitted = np.asarray(fitting(Image.fromarray(pixels), *size, mode))
    return {digest(form): form for form in (fitted, pixels)}


def _kept(settings: Settings, missing: set[str]) -> dict[str, Pixels]:
    """What is still missing, from the sources that this machine's server keeps."""
    if not missing:
        return {}
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database.open(settings.database_url, pool_size=1)
    try:
        return sources.of_anyone(database, open_files(settings.pictures_place, database), missing)
    except Gone as error:
        raise Gone(
            f"{error} here; give it with --image, a mask with --mask, a map with --map"
        ) from error
    finally:
        database.close()


def _tell(compared: replay.Comparison, changed: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        terminal.data({**asdict(compared), "changed": list(changed)})
        return
    terminal.say(compared.sentence())
    for note in changed:
        terminal.note(f"  {note}", style="yellow")
