"""The page's words: in one file, each of them used, and not in the modules that have moved."""

import re

from tests.web.pages.test_page import FILES

TEXTS = "js/texts.js"
# A comment, or a literal: what is in quotes, or in backticks without another of these inside.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`""", re.S
)
CODE = re.compile(r"\$\{[^}]*\}")
# Words of people: one with a capital, or two in a row; not paths, selectors, or names of fields.
WORDS = re.compile(r"[A-Z][a-z]+|[a-z]{2,},? [a-z]")
MARKS = re.compile(r"[#\[\]<>={}|]|^\.{1,2}/|^(?:data|https?|image|application)[:/]")
NAMES = re.compile(r"(?:class|className|key|code):? ?(?:===?)? ?$|===? $")
# Names of things that are the same in every language.
KEPT = {
    *("Enter", "Escape", "Delete", "Backspace", "Files", "Latent", "Lanczos", "Nearest"),
    *("Scale2x", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Insufficient credits"),
    *("limner keys create --name NAME --credits 10", "limner credits grant KEY 10"),
    *("by name: ", "UniPC", "PNG", "JPEG", "WebP"),
    # Prompts: the models know no other language.
    *("a knight in (red armor:1.2) with a sword, desert background", "blurry, noise"),
    # What is read in files and told to browsers.
    *("Limner\\0\\0", "Steps: ", "insertText", "16px sans-serif"),
    "button, input, select, textarea",
    # Classes and ids.
    *("paper boxing", "quiet button", "pose-note pose-error", "field half", "note kept"),
}
# Modules whose words are still to be moved: none may be added.
TO_MOVE = (
    *("account/welcome", "desk/axes", "desk/extra", "desk/history", "desk/names", "desk/price"),
    *("desk/prompt/hints", "desk/prompt/prompt", "desk/prompt/scan", "desk/seed", "desk/sizes"),
    *("desk/source/masking", "desk/stylesheet", "desk/xygrid", "house/plot", "keys"),
    *("library/choosing", "library/compare", "library/detail", "library/gallery"),
    *("library/grid", "library/marks", "library/search", "main", "page/api", "page/clipboard"),
    *("page/events", "page/notice", "page/words", "places", "stage/difference", "stage/larger"),
    *("stage/papers", "stage/snippets", "stage/stage", "stage/under", "stage/viewer"),
    *("tray/cards", "tray/draw", "tray/entries", "tray/moving", "tray/queue", "tray/refusals"),
    "tray/tray",
)


def source(name: str) -> str:
    return FILES[f"js/{name}.js"].data.decode()


def words_in(code: str) -> list[str]:
    """The literals of a module that people would read."""
    found = []
    for token in TOKEN.finditer(code):
        said = CODE.sub("", token[0][1:-1])
        before = code[: token.start()].rsplit("\n", 1)[-1]
        named = before.startswith("import ") or NAMES.search(before) or said in KEPT
        if token[0][0] not in "/" and not named and WORDS.search(said) and not MARKS.search(said):
            found.append(token[0])
    return found


def sections() -> dict[str, set[str]]:
    """Names of the texts by the part of the file that they stand in."""
    code = FILES[TEXTS].data.decode()
    bare = TOKEN.sub('""', code)
    parts = re.split(r"^  (\w+): \{$", bare, flags=re.M)[1:]
    return {
        name: set(re.findall(r"(\w+): (?![\w)]*:)", body))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_words_are_found_wherever_they_stand():
    code = """
    import { a } from "./Some Where.js"; // A Comment
    const b = h("p", { class: "note kept", id: "draw-bar" }, "Draw it", `${n} pictures, and`);
    if (event.key === "Enter") show('two words');
    """
    assert words_in(code) == ['"Draw it"', "`${n} pictures, and`", "'two words'"]


def test_words_stand_in_one_file_but_for_what_is_still_to_be_moved():
    names = {name[3:-3] for name in FILES if name.endswith(".js") and name != TEXTS}
    assert len(names) > 60
    assert {name for name in names if words_in(source(name))} == set(TO_MOVE)


def test_every_text_is_there_and_is_used():
    there = sections()
    assert len(there) > 10
    for name, file in FILES.items():
        code = file.data.decode() if name.endswith(".js") and name != TEXTS else ""
        for alias, section in re.findall(r"const (\w+) = TEXTS\.(\w+);", code):
            used = set(re.findall(rf"\b{alias}\.(\w+)", code))
            assert used <= there[section], (name, used - there[section])
            if f"{alias}[" not in code:  # else names are told by rows
                there[section] -= used
            else:
                there[section] = set()
    assert {section: names for section, names in there.items() if names} == {}
