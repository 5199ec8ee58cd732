"""What a picture shows: the attributes from which both the painter and the captions work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training import palette

COLOURS = tuple(palette.BASES)
HAIRS = tuple(palette.HAIRS)
ROLES = ("knight", "mage", "archer", "rogue", "cleric", "barbarian", "king", "queen")
RACES = ("human", "elf", "dwarf", "orc", "skeleton")
HEADGEAR = ("none", "helmet", "horned helmet", "crown", "hood", "wizard hat")
WEAPONS = ("none", "sword", "staff", "bow", "axe", "dagger", "mace", "spear")
OFFHANDS = ("none", "shield", "book")
MATERIALS = ("plate", "leather", "cloth", "robe")
ORNAMENTS = ("none", "floral", "feather")
HAIRSTYLES = ("short", "long", "bald")
CREATURES = ("dragon", "slime", "wolf", "ghost")
OBJECTS = ("potion", "chest", "sword", "shield", "mushroom", "book", "crown", "gem")
PLACES = (
    "plain",
    "desert",
    "forest",
    "castle",
    "mountains",
    "cave",
    "snow",
    "lava",
    "sea",
    "village",
    "meadow",
)
INDOORS = ("plain", "castle", "cave", "lava")
"""Places that have no sky, and so no time of day."""
TIMES = ("day", "night", "sunset")
MOODS = ("none", "dark", "warm", "cold", "foggy")
KINDS = ("character", "creature", "object", "landscape")


@dataclass(frozen=True)
class Scene:
    """One picture in words. Colours are names in `COLOURS`; sizes are in sprite pixels."""

    kind: str
    height: int = 32
    width: int = 32
    portrait: bool = False
    subject: str = ""  # role, creature or object
    race: str = "human"
    female: bool = False
    hair: str = "brown"
    hairstyle: str = "short"
    beard: bool = False
    colour: str = "red"
    second: str = "brown"
    material: str = "cloth"
    ornament: str = "none"
    headgear: str = "none"
    cloak: str = "none"  # a colour, or none
    weapon: str = "none"
    offhand: str = "none"
    place: str = "plain"
    time: str = "day"
    mood: str = "none"
    variant: int = 0  # of the ground, 0..7


ROLE_KIT = {
    # role: (material, headgear, weapon, offhand): what it wears when nothing else is drawn
    "knight": ("plate", "helmet", "sword", "shield"),
    "mage": ("robe", "wizard hat", "staff", "book"),
    "archer": ("leather", "hood", "bow", "none"),
    "rogue": ("leather", "hood", "dagger", "none"),
    "cleric": ("robe", "none", "mace", "book"),
    "barbarian": ("leather", "horned helmet", "axe", "none"),
    "king": ("robe", "crown", "sword", "none"),
    "queen": ("robe", "crown", "staff", "none"),
}
SIZES = (
    ((32, 32), 0.60),
    ((48, 32), 0.22),
    ((32, 48), 0.12),
    ((48, 48), 0.035),
    ((64, 64), 0.01),
    ((64, 32), 0.005),
    ((64, 48), 0.005),
    ((32, 64), 0.005),
)
"""Height and width of a sprite, and its share of the pictures."""


def sample(rng: np.random.Generator) -> Scene:
    """A random scene of a random size."""
    sizes = [size for size, _ in SIZES]
    height, width = sizes[rng.choice(len(sizes), p=[share for _, share in SIZES])]
    kind = str(rng.choice(KINDS, p=[0.56, 0.13, 0.19, 0.12]))
    facts = {"kind": kind, "height": height, "width": width, **_surroundings(rng, kind)}
    if kind == "character":
        facts |= sample_character(rng)
    elif kind == "creature":
        facts |= {"subject": str(rng.choice(CREATURES, p=[0.46, 0.18, 0.18, 0.18]))}
        facts |= {"colour": str(rng.choice(COLOURS))}
    elif kind == "object":
        facts |= {"subject": str(rng.choice(OBJECTS)), "colour": str(rng.choice(COLOURS))}
    return Scene(**facts)


def _surroundings(rng: np.random.Generator, kind: str) -> dict[str, object]:
    """Place, time of day, mood and variant."""
    plain = kind != "landscape" and rng.random() < 0.06
    place = "plain" if plain else str(rng.choice(PLACES[1:]))
    time = "day" if place in INDOORS else str(rng.choice(TIMES, p=[0.6, 0.2, 0.2]))
    mood = str(rng.choice(MOODS, p=[0.76, 0.06, 0.06, 0.06, 0.06]))
    return {"place": place, "time": time, "mood": mood, "variant": int(rng.integers(8))}


def sample_character(rng: np.random.Generator) -> dict[str, object]:
    """A character's attributes: mostly what its role wears, often something else."""
    role = str(rng.choice(ROLES))
    race = str(rng.choice(RACES, p=[0.44, 0.14, 0.14, 0.14, 0.14]))
    female = role == "queen" or (role != "king" and race in ("human", "elf") and rng.random() < 0.4)
    material, headgear, weapon, offhand = ROLE_KIT[role]
    if rng.random() < 0.5:
        headgear = str(rng.choice(HEADGEAR))
    if rng.random() < 0.5:
        weapon = str(rng.choice(WEAPONS))
    offhand = offhand if rng.random() < 0.3 else str(rng.choice(OFFHANDS, p=[0.7, 0.2, 0.1]))
    if rng.random() < 0.15:
        material = str(rng.choice(MATERIALS))
    colour = str(rng.choice(COLOURS))
    return {
        "subject": role,
        "race": race,
        "female": bool(female),
        "hair": str(rng.choice(HAIRS)),
        "hairstyle": _hairstyle(rng, bool(female), race),
        "beard": _beard(rng, role, bool(female), race),
        "colour": colour,
        "second": str(rng.choice([name for name in COLOURS if name != colour])),
        "material": material,
        "ornament": str(rng.choice(ORNAMENTS, p=[0.8, 0.1, 0.1])),
        "headgear": headgear,
        "cloak": str(rng.choice(COLOURS)) if rng.random() < 0.25 else "none",
        "weapon": weapon,
        "offhand": "none" if weapon == "bow" else offhand,
        "portrait": bool(rng.random() < 0.22),
    }


def _hairstyle(rng: np.random.Generator, female: bool, race: str) -> str:
    if race == "skeleton":
        return "bald"
    return str(rng.choice(HAIRSTYLES, p=[0.1, 0.9, 0.0] if female else [0.68, 0.2, 0.12]))


def _beard(rng: np.random.Generator, role: str, female: bool, race: str) -> bool:
    often = 0.85 if race == "dwarf" else 0.75 if role == "king" else 0.3
    return not female and race != "skeleton" and bool(rng.random() < often)
