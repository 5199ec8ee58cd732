"""Comments in prompts: AUTOMATIC1111 draws nothing from a ``#`` to the end of its line."""

from __future__ import annotations

from limner.web.reading.fields import shown


def without_comments(field: str, text: str) -> tuple[str, list[str]]:
    """``text`` as it is drawn there, and a note of what was left out. Whole lines go with it."""
    if "#" not in text:
        return text, []
    kept, comments = [], []
    for line in text.split("\n"):
        words, mark, comment = line.partition("#")
        if mark:
            comments.append(mark + comment)
        if words.strip() or not mark:
            kept.append(words.rstrip() if mark else line)
    more = f" and {len(comments) - 1} more" if len(comments) > 1 else ""
    note = f"{field}: {shown(comments[0])}{more} was left out: here '#' begins a comment"
    return "\n".join(kept), [note]
