"""Multipart forms bent in their raw bytes: boundaries, headers, encodings, pictures."""

import io
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.web.conftest import PATH

FAIR = (200, 400, 406, 413)
FIELDS = ("prompt", "steps", "seed", "base64", "samples", "strength", "mask", "pröm\r\npt", "")
VALUES = (b"a knight", b"20", b"\xff\xfe", b"", b"\0", b"x" * 9000, b"true", b"--b", b"\r\n--b--")
HEADS = (
    b'Content-Disposition: form-data; name="%s"',
    b'Content-Disposition: form-data; name="%s"; filename="x.png"\r\nContent-Type: image/png',
    b"Content-Disposition: form-data; name*=utf-8''%s",
    b'content-disposition: attachment; name="%s"',
    b'Content-Disposition: form-data; name="%s"\r\nContent-Transfer-Encoding: base64',
    b'Content-Disposition: form-data; name="%s"\r\nContent-Type: text/plain; charset=utf-7',
    b"X: y",
)


def picture(dice):
    buffer = io.BytesIO()
    pixels = np.zeros((32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, dice.choice(("PNG", "JPEG", "WEBP", "GIF")))
    data = bytearray(buffer.getvalue())
    for _ in range(dice.choice((0, 0, 1, 5))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def form(dice):
    parts = []
    for _ in range(dice.randrange(5)):
        name = dice.choice(FIELDS).encode()
        head = dice.choice(HEADS)
        head = head % name if b"%s" in head else head
        parts.append(b"--b\r\n" + head + b"\r\n\r\n" + dice.choice(VALUES) + b"\r\n")
    parts.append(b"--b\r\n" + HEADS[0] % b"prompt" + b"\r\n\r\nx\r\n")
    image = b"--b\r\n" + HEADS[1] % b"image" + b"\r\n\r\n" + picture(dice) + b"\r\n"
    parts += [image] if dice.random() < 0.5 else []
    dice.shuffle(parts)
    data = bytearray(b"".join(parts) + b"--b--\r\n")
    for _ in range(dice.choice((0, 0, 1, 3))):
        start = dice.randrange(len(data))
        data[start : start + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
    return bytes(data)


def check(client, seed):
    dice = random.Random(seed)
    kind = dice.choice(("b", '"b"', "b; charset=utf-8", "bb", "", "b" * 300))
    headers = {"content-type": f"multipart/form-data; boundary={kind}"}
    path = dice.choice((PATH, "/v1/sd1.5-img2img", "/v1/images/edits"))
    answer = client.post(path, content=form(dice), headers=headers)
    assert answer.status_code in FAIR, answer.text
    assert answer.status_code == 200 or answer.json()["error"]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_bent_forms_are_served_or_refused(client, services, seed):
    services.generate.side = 16
    check(client, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_thousand_bent_forms_are_served_or_refused(client, services):
    services.generate.side = 16
    for seed in range(5000):
        check(client, seed)
