"""What masks mean on each surface, and that one that repaints nothing is refused unbilled."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from limner.errors import InvalidInput
from limner.imaging import tasks
from tests.web.conftest import PATH

SIZE = 64


def file(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def text(image):
    return base64.b64encode(file(image)).decode()


def rgba(colour, alpha):
    image = Image.new("RGB", (SIZE, SIZE), colour)
    image.putalpha(Image.fromarray(alpha))
    return image


def left():
    """255 in the left half."""
    half = np.zeros((SIZE, SIZE), np.uint8)
    half[:, : SIZE // 2] = 255
    return half


def painted(image):
    """What of a mask on AUTOMATIC1111's surface is repainted."""
    size = {"width": SIZE, "height": SIZE, "resize_mode": "crop"}
    return tasks.mask(file(image), "mask", **size, by="painted", invert=False).arrays[0]


SOURCE = Image.new("RGB", (SIZE, SIZE), (40, 90, 200))


@pytest.mark.parametrize("colour", ["white", "black", "red"])
def test_strokes_on_transparency_are_repainted_whatever_their_colour(colour):
    assert (painted(rgba(colour, left())) == left()).all()


def test_a_nearly_opaque_pixel_makes_no_mask_of_transparency():
    white = Image.fromarray(left()).convert("RGBA")
    white.putpixel((60, 60), (0, 0, 0, 254))
    assert (painted(white) >= 128).sum() == SIZE * SIZE // 2


def img2img(client, mask, **more):
    body = {"prompt": "x", "steps": 2, "width": SIZE, "height": SIZE, "mask": text(mask)}
    body |= {"init_images": [text(SOURCE)], **more}
    return client.post("/sdapi/v1/img2img", json=body)


def test_strokes_reach_the_drawing_on_automatic1111s_surface(client, services):
    assert img2img(client, rgba("black", left())).status_code == 200
    (order,) = services.generate.orders
    mask = order.pixels[order.generation.source.mask_sha256]
    assert (np.asarray(mask) == left()).all()


NOTHING = [
    Image.new("L", (SIZE, SIZE), 0),
    Image.new("L", (SIZE, SIZE), 127),
    rgba("white", np.zeros((SIZE, SIZE), np.uint8)),
]


@pytest.mark.parametrize("mask", NOTHING)
def test_a_mask_that_repaints_nothing_is_refused(client, services, mask):
    body = {"prompt": "x", "image": text(SOURCE), "mask": text(mask)}
    answers = [client.post(PATH, json=body), img2img(client, mask)]
    answers += [client.post("/v2/sd1.5-inpainting", json=body)]
    answers += [client.post("/api/requests", json=body)]
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert "mask repaints nothing" in answer.text
    assert services.generate.orders == []
    assert services.queue.kept == {}


def test_a_white_mask_inverted_repaints_nothing(client, services):
    answer = img2img(client, Image.new("L", (SIZE, SIZE), 255), inpainting_mask_invert=1)
    assert "mask repaints nothing" in answer.json()["detail"]
    assert services.generate.orders == []


def edit(client, image, mask=None):
    files = {"image": file(image)} | ({} if mask is None else {"mask": file(mask)})
    return client.post("/v1/images/edits", files=files, data={"prompt": "x"})


def test_a_nearly_opaque_pixel_is_no_mask_in_edits(client, services):
    one = SOURCE.convert("RGBA")
    one.putpixel((9, 9), (40, 90, 200, 254))
    assert edit(client, one).status_code == 200
    (order,) = services.generate.orders
    assert order.generation.source.mask_sha256 is None
    assert order.generation.source.strength == 0.75


def test_a_black_opaque_mask_repaints_nothing_in_edits(client, services):
    black = Image.new("RGBA", (SIZE, SIZE), "black")
    black.putpixel((9, 9), (0, 0, 0, 254))
    answer = edit(client, SOURCE, black)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "mask"
    assert services.generate.orders == []


def test_outpainting_that_paints_nothing_is_refused(client, services):
    body = {"prompt": "x", "image": text(SOURCE), "scale": 10, "img_width": 512, "img_height": 512}
    answer = client.post("/v1/sd1.5-outpaint", json=body)
    assert "nothing is left to paint" in answer.json()["error"]
    assert services.generate.orders == []


def test_a_mask_may_be_of_another_size(client):
    speck = np.zeros((1024,) * 2, np.uint8)
    speck[:4, :4] = 255
    assert img2img(client, Image.fromarray(speck)).status_code == 400
    assert img2img(client, Image.fromarray(left()).resize((16, 16))).status_code == 200


ONLY = {"only_masked": True, "mask_padding": 8, "mask_fill": "noise", "mask_blur": 3}


def inpainted(client, size=(300, 170), mask=None, **more):
    source = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    if mask is None:
        mask = Image.new("L", size)
        mask.paste(255, (150, 40, 230, 100))
    body = {"prompt": "x", "image": text(Image.fromarray(source)), "mask": text(mask), **ONLY}
    return client.post(PATH, json={**body, **more}), source


def notes(answer):
    return json.loads(answer.headers.get("x-adjustments", "[]"))


def test_the_masked_part_alone_starts_from_the_picture_as_it_came(client, services):
    answer, source = inpainted(client)
    assert answer.status_code == 200, answer.text
    assert notes(answer) == []
    (order,) = services.generate.orders
    said = order.generation.source
    assert (order.generation.width, order.generation.height) == (512, 512)
    assert np.array_equal(order.pixels[said.sha256], source)
    assert np.argwhere(order.pixels[said.mask_sha256]).min(0).tolist() == [40, 150]
    assert {name: getattr(said, name) for name in ONLY} == ONLY


def test_a_mask_of_another_size_is_stretched_to_the_picture_and_told(client, services):
    answer, _ = inpainted(client, mask=Image.fromarray(left()), resize_mode="fill")
    (order,) = services.generate.orders
    mask = order.pixels[order.generation.source.mask_sha256]
    assert mask.shape == (170, 300)
    assert abs((mask == 255).mean() - 0.5) < 0.01
    assert notes(answer) == [
        "resize_mode was ignored: with only_masked the picture keeps its own size",
        "mask of 64x64 was stretched to the picture's 300x170",
    ]


@pytest.mark.slow
def test_a_speck_that_the_drawing_would_not_see_is_refused(client, services):
    speck = Image.new("L", (2000, 2000))
    speck.putpixel((900, 900), 255)
    for blur in (0, 64):
        answer, _ = inpainted(client, (2000, 2000), speck, mask_padding=256, mask_blur=blur)
        assert answer.status_code == 400
        assert answer.json()["error"] == (
            f"mask repaints nothing: with mask_padding 256 and mask_blur {blur} no pixel of it is "
            "left at 512x512"
        )
    assert services.generate.orders == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mask_padding": 257}, "mask_padding is 257; it must be a whole number 0 to 256"),
        ({"mask_fill": "grey"}, "must be one of fill, original, noise, nothing"),
        ({"only_masked": "maybe"}, "only_masked is"),
    ],
)
def test_what_a_mask_cannot_be_told(client, services, fields, sentence):
    answer, _ = inpainted(client, **fields)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert services.generate.orders == []


def test_a_picture_that_is_too_large_to_keep_its_size_is_refused():
    large = file(Image.new("L", (4104, 4096)))
    with pytest.raises(InvalidInput, match="image is 4104x4096; with only_masked it keeps its siz"):
        tasks.whole(large, "image")


def test_without_a_mask_it_is_told_that_they_do_nothing(client, services):
    answer = client.post(PATH, json={"prompt": "x", "image": text(SOURCE), **ONLY})
    names = ("mask_fill", "only_masked", "mask_padding")
    assert sorted(notes(answer)) == sorted(
        f"{name} was ignored: it acts only where mask is present" for name in names
    )
    assert not services.generate.orders[0].generation.source.only_masked
