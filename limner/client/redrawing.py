"""How another program's picture, or its settings as text, is sent to be drawn again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from limner.client.pictures import Picture
from limner.client.steps import Ask
from limner.client.words import ImageLike, to_text


def ask(
    given: Mapping[str, ImageLike | None], text: str | None, *, dry_run: bool, key: str | None
) -> Ask:
    """The call, which may be sent again; ``given`` are ``picture``, ``image`` and ``mask``.

    Raises ``TypeError`` for what cannot say settings.
    """
    picture = given["picture"]
    if (picture is None) == (text is None):
        raise TypeError("give a picture or a text, one of them")
    if hasattr(picture, "save") and not isinstance(picture, Picture):
        raise TypeError("a Pillow image does not keep what its file says; give the file")
    body: dict[str, Any] = {"dry_run": dry_run, **({} if text is None else {"text": text})}
    body |= {name: to_text(each) for name, each in given.items() if each is not None}
    headers: Mapping[str, str] = {} if dry_run else {"Idempotency-Key": key or uuid.uuid4().hex}
    return Ask("POST", "/api/replay", body, headers)
