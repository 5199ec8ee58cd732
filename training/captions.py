"""Captions as people write them: tags in any order, synonyms, and filler that means nothing here.

`caption` returns the text and which attributes of the scene it tells, so that the text encoder can
first be taught to read. Attributes that a caption leaves out are for the model to choose.
"""

from __future__ import annotations

import numpy as np

from training import words
from training.scene import INDOORS, Scene

_BEHIND = (
    "{}", "{} background", "in the {}", "{} in the background", "{} landscape background",
)  # fmt: skip

Told = dict[str, str]
"""Attribute -> its value, for the attributes that a caption mentions."""


class Writer:
    """Collects the tags of one caption and what they tell."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene, self.rng = scene, rng
        self.tags: list[str] = []
        self.told: Told = {"kind": scene.kind}

    def one(self, options: tuple[str, ...]) -> str:
        """One of several ways to say the same, the first ones more often."""
        shares = 1.0 / (1.0 + 0.35 * np.arange(len(options)))
        return options[self.rng.choice(len(options), p=shares / shares.sum())]

    def often(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def tell(self, *names: str) -> None:
        """Note attributes as mentioned."""
        self.told |= {name: str(getattr(self.scene, name)) for name in names}

    def add(self, tag: str, *names: str) -> None:
        """Add a tag that tells these attributes."""
        self.tags.append(tag)
        self.tell(*names)

    def colour(self, name: str) -> str:
        return self.one(words.COLOURS[name])


def caption(scene: Scene, rng: np.random.Generator) -> tuple[str, Told]:
    """A caption of the scene, newly worded at every call."""
    writer = Writer(scene, rng)
    if writer.often(0.12):
        return _fragment(writer), writer.told
    detail = {"character": _character, "creature": _creature, "object": _thing}.get(scene.kind)
    if detail:
        detail(writer)
    _place(writer)
    _light(writer)
    if scene.kind == "landscape":
        if writer.often(0.5):
            writer.tags.append(writer.one(words.EMPTY))
    else:
        _framing(writer)
    return _joined(writer), writer.told


def _joined(writer: Writer) -> str:
    """The tags in an order: the subject first, as most people write, or none at all."""
    rng, tags = writer.rng, writer.tags
    if writer.often(0.5):
        rest = [str(tag) for tag in rng.permutation(np.array(tags[1:], dtype=object))]
        tags = tags[:1] + rest
    else:
        tags = [str(tag) for tag in rng.permutation(np.array(tags, dtype=object))]
    if writer.often(0.55):
        for _ in range(rng.integers(1, 7)):
            tags.insert(rng.integers(0, len(tags) + 1), writer.one(words.FILLER))
    joint = ", " if writer.often(0.9) else " "
    return joint.join(tags)


def _fragment(writer: Writer) -> str:
    """One attribute and nothing else, as negative prompts are written; half of them a colour.

    A negative prompt acts by the difference between what it draws and what no prompt draws, so its
    words must mean something by themselves.
    """
    scene = writer.scene
    tables = {"place": words.PLACES}
    if scene.kind != "landscape":
        subjects = {"character": words.ROLES, "creature": words.CREATURES, "object": words.OBJECTS}
        tables |= {"subject": subjects[scene.kind], "colour": words.COLOURS}
    if scene.kind == "character":
        tables |= {"headgear": words.HEADGEAR, "weapon": words.WEAPONS}
    colour = "colour" in tables and writer.often(0.5)
    name = "colour" if colour else str(writer.rng.choice(list(tables)))
    writer.told = {}
    writer.tell(name)
    return writer.one(tables[name][getattr(scene, name)])


def _character(writer: Writer) -> None:
    scene = writer.scene
    who = writer.one(words.ROLES[scene.subject])
    known = ["subject"]
    if writer.often(0.85 if scene.race != "human" else 0.10):
        known.append("race")
        who = f"{writer.one(words.RACES[scene.race])} {who}"
    if (scene.female and writer.often(0.7)) or writer.often(0.1):
        known.append("female")
        who = f"{writer.one(words.FEMALE if scene.female else words.MALE)} {who}"
    parts = [_clothes(writer)] if writer.often(0.9) else []
    parts += [tag for tag in (_headgear(writer), _weapon(writer)) if tag]
    opening = "a " if writer.often(0.3) else ""
    if parts and writer.often(0.35):
        who = f"{who} {writer.one(('with', 'wearing', 'in'))} {parts.pop(0)}"
    writer.tags.insert(0, opening + who)
    writer.tell(*known)
    writer.tags += parts
    _extras(writer)


def _clothes(writer: Writer) -> str:
    """The main colour, and often what the garment is made of."""
    scene, colour = writer.scene, writer.colour(writer.scene.colour)
    writer.tell("colour")
    if writer.often(0.15):
        return writer.one((f"wearing {colour}", f"{colour} outfit", f"dressed in {colour}", colour))
    if writer.often(0.6):
        writer.tell("material")
        return f"{colour} {writer.one(words.GARMENTS[scene.material])}"
    return f"{colour} {writer.one(words.ANY_GARMENT)}"


def _headgear(writer: Writer) -> str:
    gear = writer.scene.headgear
    if not writer.often(0.85 if gear != "none" else 0.12):
        return ""
    writer.tell("headgear")
    name = writer.one(words.HEADGEAR[gear])
    return f"wearing a {name}" if gear != "none" and writer.often(0.2) else name


def _weapon(writer: Writer) -> str:
    weapon = writer.scene.weapon
    if not writer.often(0.85 if weapon != "none" else 0.1):
        return ""
    writer.tell("weapon")
    name = writer.one(words.WEAPONS[weapon])
    if weapon == "none" or writer.often(0.5):
        return name
    return writer.one((f"holding a {name}", f"with a {name}", f"wielding a {name}"))


def _extras(writer: Writer) -> None:
    """Hair, beard, cloak, ornament, the other hand, the second colour."""
    scene = writer.scene
    if scene.hairstyle == "bald":
        if scene.race != "skeleton" and writer.often(0.6):
            writer.add("bald", "hairstyle")
    elif writer.often(0.45):
        hair = f"{writer.one(words.HAIRS[scene.hair])} hair"
        long = writer.often(0.7)
        writer.add(f"{scene.hairstyle} {hair}" if long else hair, "hair", *["hairstyle"] * long)
    if scene.beard and writer.often(0.6):
        colour = f"{writer.one(words.HAIRS[scene.hair])} " if writer.often(0.4) else ""
        writer.add(f"{colour}beard" if colour or writer.often(0.5) else "bearded", "beard")
        writer.told |= {"hair": scene.hair} if colour else {}
    if scene.cloak != "none" and writer.often(0.85):
        writer.add(f"{writer.colour(scene.cloak)} {writer.one(('cloak', 'cape'))}", "cloak")
    if scene.ornament != "none" and writer.often(0.9):
        writer.add(writer.one(words.ORNAMENTS[scene.ornament]), "ornament")
    second = writer.colour(scene.second)
    if scene.offhand != "none" and writer.often(0.9):
        coloured = writer.often(0.4)
        name = writer.one(words.OFFHANDS[scene.offhand])
        writer.add(f"{second} {name}" if coloured else name, "offhand", *["second"] * coloured)
    elif writer.often(0.12):
        writer.add(f"{second} {writer.one(words.SECOND)}", "second")


def _creature(writer: Writer) -> None:
    name = writer.one(words.CREATURES[writer.scene.subject])
    if writer.often(0.85):
        writer.tell("colour")
        name = f"{writer.colour(writer.scene.colour)} {name}"
    writer.add(f"a {name}" if writer.often(0.25) else name, "subject")
    if writer.often(0.2):
        writer.tags.append(writer.one(words.BEAST))


def _thing(writer: Writer) -> None:
    name = writer.one(words.OBJECTS[writer.scene.subject])
    if writer.often(0.85):
        writer.tell("colour")
        name = f"{writer.colour(writer.scene.colour)} {name}"
    writer.add(f"a {name}" if writer.often(0.25) else name, "subject")
    if writer.often(0.4):
        writer.tags.append(writer.one(words.ITEM))


def _place(writer: Writer) -> None:
    if not writer.often(0.97 if writer.scene.kind == "landscape" else 0.88):
        return
    name = writer.one(words.PLACES[writer.scene.place])
    form = writer.one(_BEHIND)
    if writer.scene.kind == "landscape":
        form = writer.one(("{} landscape", "{}", "{} scenery"))
    writer.add(form.format(name) if writer.scene.place != "plain" else name, "place")


def _light(writer: Writer) -> None:
    scene = writer.scene
    if scene.place not in INDOORS and writer.often(0.88 if scene.time != "day" else 0.25):
        writer.add(writer.one(words.TIMES[scene.time]), "time")
    if scene.mood != "none" and writer.often(0.92):
        writer.add(writer.one(words.MOODS[scene.mood]), "mood")


def _framing(writer: Writer) -> None:
    if writer.scene.kind != "character":
        return
    if writer.scene.portrait and writer.often(0.9):
        writer.add(writer.one(words.PORTRAIT), "portrait")
    elif not writer.scene.portrait and writer.often(0.2):
        writer.add(writer.one(words.FULL_BODY), "portrait")
