"""The words for every attribute value, the usual ones first, and the filler that means nothing."""

from __future__ import annotations

COLOURS = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden", "gold"),
    "green": ("green", "emerald"),
    "teal": ("teal", "turquoise", "cyan"),
    "blue": ("blue", "azure", "navy"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "magenta", "rose"),
    "brown": ("brown", "tan"),
    "white": ("white",),
    "black": ("black",),
    "silver": ("silver", "gray", "grey", "steel"),
}
ROLES = {
    "knight": (
        "knight",
        "paladin",
        "warrior",
        "soldier",
        "guard",
        "armored warrior",
        "armoured figure",
        "space marine",
    ),
    "mage": ("mage", "wizard", "sorcerer", "witch", "warlock"),
    "archer": ("archer", "ranger", "hunter"),
    "rogue": ("rogue", "thief", "assassin", "ninja"),
    "cleric": ("cleric", "priest", "healer", "monk"),
    "barbarian": ("barbarian", "viking", "berserker"),
    "king": ("king", "emperor"),
    "queen": ("queen", "princess", "empress"),
}
RACES = {
    "human": ("human",),
    "elf": ("elf", "elven"),
    "dwarf": ("dwarf", "dwarven"),
    "orc": ("orc", "goblin"),
    "skeleton": ("skeleton", "undead", "skull"),
}
FEMALE = ("female", "woman", "girl")
MALE = ("male", "man", "boy")
GARMENTS = {
    "plate": ("armor", "armour", "plate armor", "heavy armor", "heavy plate"),
    "leather": ("leather armor", "leather outfit", "leather clothes", "leather tunic"),
    "cloth": ("clothes", "tunic", "shirt", "cloth outfit"),
    "robe": ("robe", "robes", "gown", "dress"),
}
ANY_GARMENT = ("armor", "outfit", "clothes", "clothing", "armour")
HEADGEAR = {
    "none": ("bare head", "no helmet"),
    "helmet": ("helmet", "helm", "steel helmet", "knight helmet", "plumed helmet"),
    "horned helmet": ("horned helmet", "horns", "viking helmet", "horned helm"),
    "crown": ("crown", "golden crown", "tiara"),
    "hood": ("hood", "hooded"),
    "wizard hat": ("wizard hat", "pointed hat", "witch hat", "hat"),
}
WEAPONS = {
    "none": ("unarmed", "no weapon"),
    "sword": ("sword", "long sword", "blade"),
    "staff": ("staff", "magic staff", "wand"),
    "bow": ("bow", "bow and arrow", "long bow"),
    "axe": ("axe", "battle axe"),
    "dagger": ("dagger", "knife"),
    "mace": ("mace", "hammer", "war hammer"),
    "spear": ("spear", "lance"),
}
OFFHANDS = {
    "shield": ("shield",),
    "book": ("book", "spell book", "tome"),
}
SECOND = ("trim", "boots", "trousers", "scarf")
ORNAMENTS = {
    "floral": ("floral ornament", "floral", "flowers", "flower pattern", "floral leather"),
    "feather": ("feathers", "feather ornament", "feathered shoulders", "feather"),
}
HAIRS = {
    "black": ("black", "dark"),
    "brown": ("brown",),
    "blond": ("blond", "blonde", "golden", "yellow"),
    "red": ("red", "ginger", "orange"),
    "white": ("white", "silver", "gray", "grey"),
}
CREATURES = {
    "dragon": ("dragon", "dragon with wings", "wyvern"),
    "slime": ("slime", "blob", "slime monster"),
    "wolf": ("wolf", "wolf beast"),
    "ghost": ("ghost", "spirit", "phantom"),
}
OBJECTS = {
    "potion": ("potion", "flask", "potion bottle", "elixir", "bottle"),
    "chest": ("chest", "treasure chest", "treasure"),
    "sword": ("sword", "great sword", "blade"),
    "shield": ("shield",),
    "mushroom": ("mushroom", "toadstool"),
    "book": ("book", "spell book", "tome"),
    "crown": ("crown", "royal crown"),
    "gem": ("gem", "jewel", "diamond", "crystal"),
}
BEAST = ("monster", "creature", "beast")
ITEM = ("item", "object", "item icon", "nobody")
EMPTY = ("landscape", "scenery", "nobody", "no humans", "empty")
PLACES = {
    "plain": ("simple background", "plain background"),
    "desert": ("desert", "sand dunes", "sandy desert", "dunes"),
    "forest": ("forest", "woods", "trees", "jungle"),
    "castle": ("castle", "castle hall", "throne room", "palace interior", "castle interior"),
    "mountains": ("mountains", "mountain", "mountain peaks"),
    "cave": ("cave", "dungeon", "cavern", "crystal cave"),
    "snow": ("snow", "snowy field", "winter", "ice"),
    "lava": ("lava", "volcano", "hell", "lava field"),
    "sea": ("sea", "beach", "ocean", "sea shore"),
    "village": ("village", "houses", "town", "cottage"),
    "meadow": ("meadow", "grass field", "plains", "green hills"),
}
TIMES = {
    "day": ("day", "daylight", "sunny day", "blue sky"),
    "night": ("night", "at night", "moonlight", "starry sky", "stars"),
    "sunset": ("sunset", "at sunset", "dusk", "evening"),
}
MOODS = {
    "dark": ("dark mood", "gloomy", "dark lighting"),
    "warm": ("warm light", "warm colors", "warm lighting"),
    "cold": ("cold light", "cold colors", "cold lighting"),
    "foggy": ("fog", "foggy", "misty", "mist"),
}
PORTRAIT = ("portrait", "close-up", "face portrait", "close up portrait")
FULL_BODY = ("full body", "full figure", "standing")

_TABLES = (
    COLOURS, ROLES, RACES, GARMENTS, HEADGEAR, WEAPONS, OFFHANDS, ORNAMENTS, HAIRS, CREATURES,
    OBJECTS, PLACES, TIMES, MOODS,
)  # fmt: skip
_LISTS = (FEMALE, MALE, ANY_GARMENT, SECOND, BEAST, ITEM, EMPTY, PORTRAIT, FULL_BODY)
_SMALL_WORDS = (
    "a with wearing in holding wielding dressed the background at, of on no",
    "short long hair bald beard bearded cloak cape",
    "pixel art rpg sprite character warrior",
)
_NOT_KNOWN = ("space marine",)


def known_texts() -> list[str]:
    """Every text whose tokens get an embedding of their own."""
    told = [text for table in _TABLES for options in table.values() for text in options]
    listed = [text for texts in _LISTS for text in texts]
    return [text for text in told + listed if text not in _NOT_KNOWN] + list(_SMALL_WORDS)


FILLER = (
    "masterpiece", "best quality", "highly detailed", "pixel art", "rpg", "warhammer 40k",
    "intricate", "trending on artstation", "8k", "4k", "sharp focus", "cinematic", "fantasy",
    "concept art", "digital painting", "art by greg rutkowski", "ultra realistic", "octane render",
    "volumetric", "epic", "beautiful", "award winning", "hdr", "unreal engine", "detailed",
    "by artgerm", "smooth", "elegant", "game asset", "sprite", "16 bit", "retro game",
    "professional", "photorealistic", "dynamic pose", "illustration", "studio", "perfect",
    "matte painting", "dungeons and dragons", "video game", "vibrant", "stunning", "3d",
    "symmetrical", "raw photo", "dslr", "film grain", "texture", "depth of field", "wallpaper",
    "high resolution", "anime", "oil painting", "ornate", "majestic", "legendary", "hyperdetailed",
)  # fmt: skip
"""Words that tell nothing; most of their tokens share one unknown embedding."""
