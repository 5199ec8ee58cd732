"""What ``limner replay`` does with a folder: draw each picture in it again, a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from limner.cli import checks, choosing, engines, files, foreign, replaying, terminal
from limner.domain.model import Card
from limner.errors import EngineBroken, EngineFault, InvalidInput, LimnerError, SettingsError
from limner.settings import Settings

State = Literal["identical", "not identical", "drawn", "would be drawn", "failed"]
_GOOD: frozenset[State] = frozenset({"identical", "drawn", "would be drawn"})


@dataclass(frozen=True)
class Target:
    """Where new pictures go: into the folder ``output``, if it is named.

    Without, those of other programs go to free names, and those of Limner are only compared.
    """

    output: Path | None
    overwrite: bool = False
    dry: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Line:
    """What came of one file: a ``sentence`` for people, ``told`` for scripts."""

    state: State
    sentence: str
    told: Mapping[str, Any]


class Kept:
    """An engine that stays open from one picture to the next, while their model is the same."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._of: tuple[Card, engines.Engine] | None = None

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def engine(self, settings: Settings) -> engines.Engine:
        """One that is ready, with the model of these settings, in which all else is the same.

        What one picture's settings say aloud, the next one's may leave to the model.
        """
        card = checks.card(settings)
        if self._of is None or self._of[0] != card:
            self.close()
            self._of = card, self._open.enter_context(engines.opened(settings, 1))
        return self._of[1]

    def close(self) -> None:
        """End it; the next picture begins another."""
        self._of = None
        self._open.close()


def run(settings: Settings, folder: Path, target: Target) -> bool:
    """Replay each picture in ``folder``, which has them; True when nothing differs or failed."""
    pictures = _pictures(folder)
    places = _places(pictures, target)
    seen: Counter[State] = Counter()
    with Kept() as kept:
        for file in pictures:
            line = _line(settings, kept, file, places.get(file), target)
            seen[line.state] += 1
            if target.as_json:
                terminal.data({"file": str(file), "state": line.state, **line.told})
            else:
                terminal.say(f"{file.name}: {line.sentence}")
    if not target.as_json:
        each = ", ".join(f"{count} {state}" for state, count in seen.items())
        terminal.note(f"{len(pictures)} pictures: {each}")
    return seen.keys() <= _GOOD


def _pictures(folder: Path) -> list[Path]:
    """Its pictures, by name; not those of folders within, nor hidden files."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in files.FORMATS and path.is_file() and path.name[0] != "."
    )
    if not found:
        raise InvalidInput("file", f"{folder} holds no picture ({', '.join(files.FORMATS)})")
    return found


def _places(pictures: Sequence[Path], target: Target) -> dict[Path, Path]:
    """Where each new picture goes; raises ``SettingsError`` before anything is drawn."""
    if target.output is None or target.dry:
        return {}
    named = target.output.suffix.lower() in files.FORMATS
    if not target.output.is_dir() and (named or target.output.exists()):
        raise SettingsError(f"-o is {target.output}, a file; of a folder, it names a folder.")
    taken: set[str] = set()
    places = {file: target.output / _name(file, taken) for file in pictures}
    files.refuse_taken(places.values(), overwrite=target.overwrite)
    return places


def _name(file: Path, taken: set[str]) -> str:
    """A PNG's name for the new picture, once among those ``taken``."""
    png = Path(file.name if file.suffix.lower() == ".png" else f"{file.name}.png")
    name = next(free.name for free in files.free_names(png) if free.name not in taken)
    taken.add(name)
    return name


def _line(settings: Settings, kept: Kept, file: Path, place: Path | None, target: Target) -> Line:
    """What comes of a file; what keeps it from being drawn keeps no other."""
    try:
        text = foreign.text_of(file)
        if text is None:
            return _ours(settings, kept, file, place, target)
        return _theirs(settings, kept, text, place, target)
    except LimnerError as error:
        if isinstance(error, EngineBroken | EngineFault):
            kept.close()
        return Line("failed", str(error), {"error": str(error)})
    except OSError as error:
        if error.filename is None:
            raise  # no file of the user's: a fault of ours, to be seen whole
        return _unread(error)


def _unread(error: OSError) -> Line:
    said = f"{error.filename}: {error.strerror}"
    return Line("failed", said, {"error": said})


def _ours(settings: Settings, kept: Kept, file: Path, place: Path | None, target: Target) -> Line:
    prepared = replaying.prepare(settings, file, {})
    if target.dry:
        return Line("would be drawn", "would be drawn", {})
    compared, changed = replaying.draw(kept.engine(prepared.settings), prepared, place)
    since = f" ({'; '.join(changed)})" if changed else ""
    told = {**asdict(compared), "changed": list(changed)}
    state: State = "identical" if compared.identical else "not identical"
    return Line(state, f"{compared.sentence()}{since}", told | _written(place))


def _theirs(settings: Settings, kept: Kept, text: str, place: Path | None, target: Target) -> Line:
    found = foreign.understand(settings, text, {})
    if target.dry:
        return Line("would be drawn", "; ".join(["would be drawn", *_said(found)]), found.told)
    engine = kept.engine(choosing.with_choice(settings, found.call.choice))
    [picture] = engines.draw_all(engine, [found.work])
    path = foreign.write(picture, found, place)
    drawn = f"drawn to {path}, seed {found.call.generation.seed}"
    return Line("drawn", "; ".join([drawn, *_said(found)]), {**found.told, **_written(path)})


def _said(found: foreign.Understood) -> Iterator[str]:
    """What is missing in full; of what differs, how much."""
    yield from (f"missing: {sentence}" for sentence in found.settled.missing)
    if found.settled.differs:
        count = len(found.settled.differs)
        ways = "1 way" if count == 1 else f"{count} ways"
        yield f"differs in {ways} (--dry-run of it alone says how)"


def _written(path: Path | None) -> dict[str, str]:
    return {} if path is None else {"output": str(path)}
