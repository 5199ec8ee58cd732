"""A real server while hostile pictures are being decoded: everybody else is served."""

import asyncio
import base64

import httpx
import pytest
from PIL import Image

from limner import imaging
from tests.imaging.hostile import endless_gif, saved, wide_png
from tests.web.served import serve

DRAW = "/v1/sd1.5-rpg"
HOSTILE = base64.b64encode(endless_gif()).decode()
SMALL = {"prompt": "a knight", "img_width": 512, "img_height": 512}


@pytest.fixture
def served(tmp_path):
    # Nothing is refused for its time here: what is hostile is still being decoded at the end.
    with serve(tmp_path, decode_max_s=600, empty=False) as made:
        yield made


def pool_of(served):
    return served.app.state.decoder


async def busy(served, number):
    async with asyncio.timeout(60):
        while len(pool_of(served).running) != number:
            await asyncio.sleep(0.01)


@pytest.mark.slow
def test_prices_drawings_and_health_wait_for_no_picture(served):
    """Two keys without credits have all processes; a third draws from nothing meanwhile."""

    async def story():
        async with httpx.AsyncClient(base_url=served.url, timeout=120) as http:
            attacks = []
            for number in (1, 2):
                headers = {"x-api-key": served.new_key(credits=0)}
                attacks += [
                    asyncio.create_task(
                        http.post("/sdapi/v1/png-info", json={"image": HOSTILE}, headers=headers)
                    )
                    for _ in range(3)
                ]
                await busy(served, number)
            headers = served.headers
            before = pool_of(served).running
            for path in ("/health/live", "/health/ready"):
                assert (await http.get(path)).status_code == 200
            for body in (SMALL, {**SMALL, "image": HOSTILE}):
                quoted = await http.post("/api/quote", json=body, headers=headers)
                assert quoted.status_code == 200
            drawn = await http.post(DRAW, json=SMALL, headers=headers)
            assert drawn.status_code == 200
            assert pool_of(served).running == before, "they were being decoded all the while"
            for attack in attacks:
                attack.cancel()
            await asyncio.gather(*attacks, return_exceptions=True)
        await busy(served, 0)  # their callers have left, and took them along

    asyncio.run(story())


def test_who_cannot_pay_has_nothing_decoded(served):
    """Nor who has something left, but less than the price."""
    body = {"prompt": "x", "image": HOSTILE, "init_images": [HOSTILE]}
    paths = (DRAW, "/v2/sd1.5-rpg", "/api/requests", "/sdapi/v1/img2img")
    asked = [(path, 0.0001) for path in paths] + [("/v1/images/edits", 0)]
    for path, credits in asked:
        with served.http(served.new_key(credits=credits)) as http:
            answer = http.post(path, json=body)
            assert answer.status_code in (402, 406), (path, answer.text)


@pytest.mark.slow
def test_decoded_pictures_count_against_one_budget_until_they_are_drawn(tmp_path):
    picture = base64.b64encode(saved(Image.new("RGB", (64, 64), "red"))).decode()
    large = {"prompt": "x", "image": picture, "img_width": 2048, "img_height": 2048}
    with serve(tmp_path, pictures_max_mib=16, empty=False) as served, served.http() as http:
        budget = served.app.state.budget
        two = http.post("/api/requests", json={"requests": [large, large]})
        assert two.status_code == 503
        assert "12 of 16 MiB" in two.json()["error"]
        assert budget.held == 0
        one = http.post("/api/requests", json=large)
        assert one.status_code == 200, one.text


@pytest.mark.slow
def test_a_source_is_kept_at_the_size_that_is_drawn(served):
    image = base64.b64encode(wide_png("1", 2048, 1024)).decode()
    with served.http() as http:
        answer = http.post("/api/requests", json={**SMALL, "image": image})
        source = answer.json()["requests"][0]["generation"]["source"]["sha256"]
        kept = http.get(f"/api/sources/{source}")
    assert imaging.read_image(kept.content).shape == (512, 512, 3)
