"""The page's words: in a file for each language, each used, and not in what has moved."""

import re
from html.parser import HTMLParser

from tests.web.pages.test_page import FILES

FOLDER = "js/texts/"
TEXTS = f"{FOLDER}en.js"
# A comment, or a literal: what is in quotes, or in backticks without another of these inside.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`""", re.S
)
CODE = re.compile(r"\$\{[^}]*\}")
# Words of people: one with a capital, or two in a row; not paths, selectors, or names of fields.
WORDS = re.compile(r"[A-Z][a-z]+|[a-z]{2,},? [a-z]")
MARKS = re.compile(
    r"[#\[\]<>={}|]|^\.{1,2}/|^(?:data|https?|image|application)[:/]|^[a-z]+[A-Z]\w*$"
)
NAMES = re.compile(r"(?:class|className|key|code):? ?(?:===?)? ?$|===? $")
# Names of things that are the same in every language.
KEPT = {
    *("Enter", "Escape", "Delete", "Backspace", "Files", "Latent", "Lanczos", "Nearest"),
    *("Scale2x", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Insufficient credits"),
    *("limner keys create --name NAME --credits 10", "limner credits grant KEY 10"),
    *("by name: ", "UniPC", "PNG", "JPEG", "WebP", "Limner", "Python", "JavaScript"),
    *("Esc", "Ctrl Enter", "Ctrl ↑  Ctrl ↓"),
    # Prompts: the models know no other language.
    *("a knight in (red armor:1.2) with a sword, desert background", "blurry, noise"),
    # What is read in files and told to browsers.
    *("Limner\\0\\0", "Steps: ", "insertText", "16px sans-serif", "Cancelled", "AbortError"),
    "button, input, select, textarea",
    # Classes and ids.
    *("paper boxing", "quiet button", "pose-note pose-error", "field half", "note kept"),
    *("actions more", "bar none"),
}
# From here on a module writes programs.
PROGRAMS = {"stage/snippets": "function curl("}


def source(name: str) -> str:
    code = FILES[f"js/{name}.js"].data.decode()
    return code.partition(PROGRAMS[name])[0] if name in PROGRAMS else code


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
    """Names of the texts by the part of the file that they stand in, without names within one."""
    bare = TOKEN.sub('""', FILES[TEXTS].data.decode())
    bare = re.sub(r"(?<!\n  )\b(\w+): \{[^{}]*\}", r"\1: 0", bare)
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


def test_words_stand_in_no_other_file():
    names = {name[3:-3] for name in FILES if name.endswith(".js") and not name.startswith(FOLDER)}
    assert len(names) > 60
    assert {name: found for name in names if (found := words_in(source(name)))} == {}


class Words(HTMLParser):
    """What index.html says itself, and the texts that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.named: set[str] = set()

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "data-t":
                self.named.add(value)
            elif name in ("title", "placeholder", "aria-label", "alt"):
                self.said.append(value)

    def handle_data(self, data):
        self.said.append(data.strip())


def index() -> Words:
    found = Words()
    found.feed(re.sub(r"<noscript>.*</noscript>", "", FILES["index.html"].data.decode()))
    return found


def test_the_page_itself_says_only_its_name_and_a_size():
    assert {said for said in index().said if said} == {"Limner", "512x768"}


def uses(code: str) -> list[tuple[str, str]]:
    """The texts that a module says, each `(section, name)`; `*` where a row tells the name."""
    said = re.findall(r"TEXTS\.(\w+)\.(\w+)", code)
    for alias, section in re.findall(r"const (\w+) = TEXTS\.(\w+);", code):
        said += [(section, name) for name in re.findall(rf"\b{alias}\.(\w+)", code)]
        said += [(section, "*")] if f"{alias}[" in code else []
    return said


def test_every_text_is_there_and_is_used():
    there, unused = sections(), sections()
    assert len(there) > 10
    assert index().named <= there["page"] | there["common"]
    for section in ("page", "common"):
        unused[section] -= index().named
    for module, file in FILES.items():
        if not module.endswith(".js") or module.startswith(FOLDER):
            continue
        for section, name in uses(file.data.decode()):
            assert name == "*" or name in there[section], (module, section, name)
            unused[section] -= there[section] if name == "*" else {name}
    assert {section: names for section, names in unused.items() if names} == {}
