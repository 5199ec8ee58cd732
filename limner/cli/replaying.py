"""What ``limner replay`` does: find receipt and sources, draw, compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
    record, first = read(file)
    generation = from_receipt(record)
    settings = _predicting_alike(settings, record)
    settings = _drawn_alike(settings, record)
    checks.model(settings)
    replay.check_model(record, checks.card(settings))
    pixels = _given(generation, given) | _maps(generation, maps)
    pixels |= _kept(settings, sources.wanted(generation) - set(pixels))
    engines.adapter_files(settings).seek(generation)
    with engines.opened(settings, 1) as engine:
        [picture] = engines.draw_all(engine, [engines.Work(generation, pixels)])
    if output is not None:
        files.write(output, picture.encode("png"))
    compared = replay.judge(record, first, picture.pixels)
    _tell(compared, replay.changed(record, picture.receipt, compared), as_json=as_json)
    return compared.identical


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
    found = {}
    for name, path in given.items():
        if path is None:
            continue
        forms = {digest(pixels): pixels for pixels in _forms(generation, name, path.read_bytes())}
        if (sha256 := names.get(name)) not in forms:
            raise InvalidInput(name, f"{path} is not the {name} that this receipt starts from")
        found[sha256] = forms[sha256]
    return found


def _maps(generation: Generation, files: Sequence[Path]) -> dict[str, Pixels]:
    """The maps named in the command, finished as they were followed."""
    names, found = {control.map_sha256 for control in generation.controls}, {}
    for path in files:
        pixels = imaging.read_image(path.read_bytes(), "map")
        if digest(pixels) not in names:
            raise InvalidInput("map", f"{path} is no map that this receipt follows")
        found[digest(pixels)] = pixels
    return found


def _forms(generation: Generation, name: str, data: bytes) -> tuple[Pixels, Pixels]:
    """A file's pixels at the size to draw, which receipts name, and as older ones name them."""
    load, fitting = (imaging.read_mask, fit_mask) if name == "mask" else (imaging.read_image, fit)
    pixels, source = load(data, name), generation.source
    mode = "crop" if source is None else source.resize_mode
    fitted = fitting(Image.fromarray(pixels), generation.width, generation.height, mode)
    return np.asarray(fitted), pixels


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
