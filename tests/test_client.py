"""The Python client against a whole server over a real socket."""

import asyncio
import base64
import inspect
import io
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import limner
from limner import errors, imaging
from limner.client import Options, refusals, steps, words
from limner.client.words import to_body, to_text
from limner.engine.batching.fake import fake_pixels
from limner.settings import load
from limner.web.native import form as native_form
from tests.waiting import HeldEngine, wait_until
from tests.web.served import serve

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
SMALL = {"width": 64, "height": 64, "steps": 4, "guidance": 2.0}
PRICE = Decimal(4 * 2) / 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    engine = HeldEngine(held=False)
    with serve(tmp_path_factory.mktemp("client"), engine=engine) as running:
        yield running


@pytest.fixture
def client(server):
    with limner.Client(server.url, server.new_key()) as client:
        yield client


class Flaky(httpx.BaseTransport):
    """Loses answers: ``lose(request, number)`` says how, or None to pass it on."""

    def __init__(self, lose):
        self.sent: list[httpx.Request] = []
        self._lose = lose
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request):
        self.sent.append(request)
        answer = self._lose(request, len(self.sent))
        if isinstance(answer, httpx.Response):
            return answer
        passed = self._inner.handle_request(request)
        if answer == "after":
            passed.read()
            passed.close()
            raise httpx.ReadTimeout("lost on the way back")
        return passed

    def close(self):
        self._inner.close()


def flaky(server, lose, **options):
    transport = Flaky(lose)
    client = limner.Client(server.url, server.new_key(), transport=transport, **options)
    return client, transport


def test_drawing(client):
    seen = []
    pictures = client.draw("a knight", seed=5, samples=2, on_progress=seen.append, **SMALL)
    for index, picture in enumerate(pictures):
        pixels = np.asarray(picture.image)
        assert np.array_equal(pixels, fake_pixels("a knight", 5 + index, 64, 64))
        assert (picture.seed, picture.index) == (5 + index, index)
        assert picture.receipt["parameters"]["seed"] == 5 + index
        assert (picture.cost, picture.adjustments) == (2 * PRICE, ())
    assert {progress.request_id for progress in seen} == {pictures[0].request_id}
    drawing = [progress for progress in seen if progress.steps]
    assert all(0 < p.fraction <= 1 and 1 <= p.step <= p.steps == 4 for p in drawing)
    assert client.credits().available == 10 - 2 * PRICE


def test_progress_before_the_first_step():
    """A request has left the line, or has a place in it, and is not being drawn yet."""
    seen = []
    events = steps.Events("req_1", seen.append)
    for told in ('{"position": 2, "estimate_s": 1}', '{"position": null, "estimate_s": null}'):
        for line in ("event: queued", f"data: {told}", ""):
            events.take(line)
    assert seen == [words.Progress("req_1", position=2, estimate_s=1), words.Progress("req_1")]
    assert (seen[1].steps, seen[1].fraction) == (0, 0)


def test_printing_progress_is_short():
    told = words.Progress("req_1", 0, 3, 20, 0.15, preview=bytes(3000))
    assert len(repr(told)) < 200
    assert "step=3" in repr(told)


def test_a_notebook_shows_the_list(client):
    pictures = client.draw("x", seed=1, samples=2, **SMALL)
    found = re.findall(r'src="data:image/png;base64,([\w+/=]+)"', pictures._repr_html_())
    assert [base64.b64decode(data) for data in found] == [picture.png for picture in pictures]
    assert isinstance(pictures, list)


def test_previews(client, server):
    server.engine.hold()
    seen = []
    [request_id] = client.submit("x", **SMALL)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.wait, request_id, on_progress=seen.append)
        wait_until(lambda: server.engine.watched)
        server.engine.release(steps=2)  # the engine hears of the watcher between the two
        wait_until(lambda: any(progress.preview for progress in seen))
        server.engine.release()
        assert len(waiting.result()) == 1
    previews = [progress.preview for progress in seen if progress.preview]
    assert Image.open(io.BytesIO(previews[0])).format == "PNG"


def test_what_was_changed_is_told(client):
    [picture] = client.draw("x", scheduler="dragon", **SMALL)
    assert picture.adjustments == ('scheduler "dragon" is unknown; UniPC was used',)


def test_a_picture_shows_and_saves_itself(client, tmp_path):
    [picture] = client.draw("ein Ritter", seed=1, **SMALL)
    assert picture._repr_png_() == picture.png
    assert "png=" not in repr(picture)
    for suffix, format in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP")):
        file = picture.save(tmp_path / f"a{suffix}")
        assert Image.open(file).format == format
        metadata = imaging.read_metadata(file.read_bytes())
        assert metadata.receipt == picture.receipt
        assert metadata.parameters.startswith("ein Ritter\nSteps: 4")
    assert (tmp_path / "a.png").read_bytes() == picture.png
    with pytest.raises(ValueError, match="suffix must be one of"):
        picture.save(tmp_path / "a.bmp")
    assert client.picture(picture.id).png == picture.png


@pytest.mark.slow
def test_pictures_go_in_in_every_form(client, tmp_path):
    [first] = client.draw("x", seed=1, **SMALL)
    file = first.save(tmp_path / "a.png")
    same = (first, first.png, file, str(file))
    assert len({to_text(form) for form in same}) == 1
    for form in (*same, first.image):
        [again] = client.draw("y", image=form, mask=form, strength=0.5, seed=2, **SMALL)
        assert again.receipt["parameters"]["source"]["strength"] == 0.5
    assert to_text("https://example.org/a.png") == "https://example.org/a.png"
    with pytest.raises(TypeError, match="int is no picture"):
        to_text(3)


def test_lines_of_a_style_mix_are_all_drawn(client):
    mix = {"sequence": ["at dawn", "at night"]}
    pictures = client.draw("a castle", style_mix=mix, seed=3, **SMALL)
    assert len(pictures) == 2
    assert len({picture.request_id for picture in pictures}) == 1
    assert [picture.index for picture in pictures] == [0, 1]


def test_submit_wait_and_look(client):
    [request_id] = client.submit("x", seed=4, **SMALL)
    [picture] = client.wait(request_id)
    assert client.request(request_id)["status"] == "COMPLETED"
    assert [r["request_id"] for r in client.requests(limit=1)["requests"]] == [request_id]
    assert client.wait(request_id) == [picture]
    assert client.cancel(request_id)["pictures"] == []
    with pytest.raises(errors.NotFound, match=picture.id):
        client.picture(picture.id)


def test_requests_that_wait_change_places(client, server):
    server.engine.hold()
    ids = [client.submit(f"{n}", **SMALL)[0] for n in range(6)]
    assert client.move(ids[5], before=ids[4])["request_id"] == ids[5]
    places = [client.request(id)["position"] for id in (ids[5], ids[4])]
    assert places == sorted(places)
    client.move(ids[5], after=ids[4])
    assert client.request(ids[5])["position"] > client.request(ids[4])["position"]
    for id in ids:
        client.cancel(id)
    server.engine.release()


def test_cancelled_and_failed(client, server):
    server.engine.hold()
    [request_id] = client.submit("x", **SMALL)
    client.cancel(request_id)
    server.engine.release()
    with pytest.raises(errors.Aborted, match="was cancelled"):
        client.wait(request_id)
    with pytest.raises(errors.EngineFault, match="not finite"):
        client.draw("!black", **SMALL)
    assert client.credits().available == 10


def test_a_wait_has_an_end(client, server):
    server.engine.hold()
    with pytest.raises(errors.WaitedTooLong, match="it goes on") as late:
        client.draw("x", **SMALL, timeout_s=0.05)
    server.engine.release()
    request_id = re.search(r"req_\w+", str(late.value))[0]
    assert len(client.wait(request_id)) == 1


def test_quote_and_explain(client):
    quote = client.quote("x", samples=3, **SMALL)
    assert (quote.credits, quote.samples) == (3 * PRICE, 3)
    assert quote.micro_credits == 24
    told = client.explain("a (knight:1.3)", steps=20)
    assert told["steps"] == 20
    assert client.model()["name"] == "fake"
    assert client.credits().available == 10


def test_the_library(client):
    [first] = client.draw("a knight", seed=1, **SMALL)
    [second] = client.draw("a mage", seed=2, image=first, strength=0.5, **SMALL)
    assert client.mark([first.id], starred=True, folder="heroes") == {"changed": 1}
    [found] = client.pictures(q="knight", starred=True, folder="heroes", limit=5)["pictures"]
    assert found["id"] == first.id
    assert client.folders()["folders"] == [{"name": "heroes", "pictures": 1}]
    assert [each["id"] for each in client.lineage(second.id)["from"]] == [first.id]
    with zipfile.ZipFile(io.BytesIO(client.export([first.id]))) as file:
        assert file.read(file.namelist()[0]) == first.png


def test_upscale(client, tmp_path):
    [picture] = client.draw("x", seed=8, **SMALL)
    made = client.upscale(picture, upscaler="nearest", scale=2)
    pixels = np.asarray(picture.image)
    assert np.array_equal(np.asarray(made.image), pixels.repeat(2, 0).repeat(2, 1))
    assert (made.width, made.height, made.adjustments) == (128, 128, ())
    assert made.record["upscaler"] == {"name": "Nearest"}
    assert client.upscale(pixels_of(made), width=32).height == 32
    told = imaging.read_metadata(made.save(tmp_path / "large.webp").read_bytes())
    assert told.parameters.startswith("x\nSteps: 4")
    assert told.receipt["receipt"]["parameters"]["seed"] == 8
    assert client.credits().available == 10 - PRICE
    with pytest.raises(errors.InvalidInput, match="scale is 99; it must be a number 1 to 16"):
        client.upscale(picture, scale=99)


def pixels_of(picture):
    return Image.fromarray(np.asarray(picture.image))


def test_first_passes_are_pictures_that_say_so(client):
    asked = {**SMALL, "hires": {"scale": 2, "first_pass": True}, "seed": 4}
    large, small = client.draw("x", **asked)
    assert (large.width, large.first_pass_of) == (128, None)
    assert (small.width, small.index, small.first_pass_of) == (64, 1, 0)
    assert small.png == client.draw("x", seed=4, **SMALL)[0].png
    assert client.replay(small).identical
    assert client.replay(large).identical


def test_replay(client):
    [picture] = client.draw("x", seed=8, **SMALL)
    for what in (picture, picture.receipt, picture.id):
        again = client.replay(what)
        assert (again.identical, again.different_pixels) == (True, 0)
        assert again.picture.png == picture.png
        assert again.picture.id != picture.id
        assert again.picture.cost == picture.cost == PRICE
        assert again.picture.request_id not in ("", picture.request_id)
    assert client.picture(picture.id).cost is None
    assert client.credits().available == 10 - 4 * PRICE


SETTINGS = (
    "a knight\nNegative prompt: blurry\nSteps: 4, Sampler: DPM++ 2M Karras, CFG scale: 2, Seed: 5, "
    "Size: 64x64, Model hash: aaaaaaaaaa, Model: far"
)


def foreign_png():
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_itxt("parameters", SETTINGS)
    Image.new("RGB", (64, 64)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def test_pictures_of_other_programs_are_drawn_again(client, tmp_path):
    (tmp_path / "a.png").write_bytes(foreign_png())
    asked = client.redraw(text=SETTINGS, dry_run=True)
    assert (asked.picture, asked.credits, client.credits().available) == (None, PRICE, 10)
    assert (asked.settings["sampler"], asked.settings["schedule"]) == ("DPM++ 2M", "Karras")
    for what in (tmp_path / "a.png", foreign_png()):
        drawn = client.redraw(what)
        assert drawn.settings == asked.settings
        for [missing] in (drawn.missing, asked.missing):  # and how many sums are not known yet
            assert missing.startswith("checkpoint far (aaaaaaaaaa) is not in the library")
            assert missing.endswith("; fake draws in its place")
        assert (drawn.picture.seed, drawn.picture.cost, drawn.credits) == (5, PRICE, None)
    ours = client.redraw(drawn.picture)
    assert ours.picture.png == drawn.picture.png
    assert (ours.settings["sampler"], ours.missing) == ("DPM++ 2M", ())


def test_a_redrawing_starts_from_a_picture_and_is_billed_once(server):
    def lose(request, number):
        return "after" if request.method == "POST" and number == 1 else None

    client, transport = flaky(server, lose)
    text = SETTINGS.replace("Steps: 4", "Steps: 4, Denoising strength: 0.5")
    with client:
        drawn = client.redraw(text=text, image=Image.new("RGB", (64, 64), "red"))
        assert drawn.picture.receipt["parameters"]["source"]["strength"] == 0.5
        assert client.credits().available == 10 - drawn.picture.cost
        assert sum(request.method == "POST" for request in transport.sent) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: c.redraw(), "a picture or a text"),
        (lambda c: c.redraw(b"x", text="y"), "a picture or a text"),
        (lambda c: c.redraw(Image.new("RGB", (8, 8))), "give the file"),
    ],
)
def test_what_cannot_say_settings_is_no_redrawing(client, call, said):
    with pytest.raises(TypeError, match=said):
        call(client)
    with pytest.raises(errors.InvalidInput, match="says nothing of how it was made"):
        client.redraw(imaging.to_png(np.zeros((64, 64, 3), np.uint8)), dry_run=True)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (errors.InvalidInput, "steps is 999|num_inference_steps is 999",
         lambda c: c.draw("x", steps=999)),
        (errors.NotFound, "Request req_0 not found", lambda c: c.request("req_0")),
        (errors.InvalidInput, "prompt", lambda c: c.draw("")),
        (errors.IdempotencyMismatch, "another body",
         lambda c: [c.submit(p, idempotency_key="k", **SMALL) for p in "xy"]),
        (TypeError, "no such option", lambda c: c.draw("x", stepps=3)),
    ],
)  # fmt: skip
def test_refusals_are_the_servers_errors(client, error, text, call):
    with pytest.raises(error, match=text):
        call(client)


def test_keys_and_credits_are_refused(server):
    with limner.Client(server.url, "SG_wrong") as client, pytest.raises(errors.InvalidKey):
        client.credits()
    key, refused = server.new_key(credits=0), pytest.raises(errors.InsufficientCredits)
    with limner.Client(server.url, key) as client, refused as poor:
        client.draw("x", **SMALL)
    assert (poor.value.available_micro, poor.value.price_micro) == (0, 8)


def test_a_server_that_is_not_there():
    refused = pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:9 cannot be reached")
    with limner.Client("http://127.0.0.1:9", "SG_1", retries=0) as client, refused:
        client.credits()


def test_a_retry_reuses_its_key_and_is_billed_once(server):
    def lose(request, number):
        return "after" if request.method == "POST" and number < 3 else None

    client, transport = flaky(server, lose)
    with client:
        assert len(client.draw("x", seed=1, **SMALL)) == 1
        assert client.credits().available == 10 - PRICE
        posts = [request for request in transport.sent if request.method == "POST"]
        assert len(posts) == 3
        assert len({request.headers["idempotency-key"] for request in posts}) == 1
        assert len(client.requests()["requests"]) == 1


def test_a_busy_server_is_asked_again_when_it_says(server, monkeypatch):
    slept = []
    # The client's own name for it: the module's sleep is every thread's.
    monkeypatch.setattr("limner.client.waiting.sleep", slept.append)
    busy = httpx.Response(503, json={"error": "full"}, headers={"Retry-After": "7"})
    client, _ = flaky(server, lambda request, number: busy if number == 1 else None)
    with client:
        assert client.credits().available == 10
    assert slept == [7.0]
    client, transport = flaky(server, lambda *_: busy, retries=2)
    with client, pytest.raises(errors.Unavailable, match="full") as refused:
        client.credits()
    assert (refused.value.retry_after_s, len(transport.sent)) == (7, 3)


def test_a_replay_is_never_sent_twice(server):
    client, transport = flaky(server, lambda request, number: "after")
    with client, pytest.raises(errors.Unavailable, match="lost on the way"):
        client.replay("pic_1")
    assert len(transport.sent) == 1


def test_without_events_it_asks(server):
    asked = []

    def lose(request, number):
        if not request.url.path.endswith("/events"):
            return None
        asked.append(number)
        if len(asked) == 2:
            server.engine.release()
        return httpx.Response(404, json={"error": "no"})

    server.engine.hold()
    client, _ = flaky(server, lose)
    with client:
        assert len(client.draw("x", **SMALL)) == 1
    assert len(asked) >= 2


def test_the_same_for_an_event_loop(server):
    async def story():
        async with limner.AsyncClient(server.url, server.new_key()) as client:
            seen = []
            both = await asyncio.gather(
                client.draw("x", seed=1, on_progress=seen.append, **SMALL),
                client.draw("y", seed=2, **SMALL),
            )
            for prompt, seed, [picture] in zip("xy", (1, 2), both, strict=True):
                pixels = np.asarray(picture.image)
                assert np.array_equal(pixels, fake_pixels(prompt, seed, 64, 64))
            assert seen
            assert (await client.credits()).available == 10 - 2 * PRICE
            assert (await client.quote("x", **SMALL)).credits == PRICE
            assert (await client.explain("x"))["prompt"] == "x"
            assert (await client.replay(both[0][0])).identical
            again = await client.redraw(text=SETTINGS)
            assert again.picture.seed == 5
            assert (await client.model())["name"] == "fake"
            assert (await client.upscale(both[0][0], scale=3)).width == 192
            server.engine.hold()
            [id] = await client.submit("x", **SMALL)
            await client.cancel(id)
            with pytest.raises(errors.Aborted):
                await client.wait(id)
            page = await client.requests(limit=2)
            assert (await client.request(id))["status"] == "CANCELLED"
            assert page["next"] is not None
            with pytest.raises(errors.WaitedTooLong):
                await client.draw("x", **SMALL, timeout_s=0.05)
            server.engine.release()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_both_clients_have_the_same_methods_and_arguments():
    def methods(kind):
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for name, f in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(limner.Client) == methods(limner.AsyncClient)


def test_every_option_is_a_field_of_the_server():
    objects = {"controls": [{}], "regions": [{}]}
    body = to_body("x", {**dict.fromkeys(Options.__annotations__, b"1"), **objects})
    assert set(body) <= set(native_form.FORM.readers)


def test_a_key_is_wanted(monkeypatch):
    monkeypatch.delenv("LIMNER_KEY", raising=False)
    with pytest.raises(ValueError, match="set LIMNER_KEY"):
        limner.Client()
    monkeypatch.setenv("LIMNER_KEY", "SG_1")
    monkeypatch.setenv("LIMNER_URL", "http://limner.test/")
    # A server started in the same shell does not take them for settings.
    load({}, {"LIMNER_KEY": "SG_1", "LIMNER_URL": "http://limner.test/"})
    with limner.Client() as client:
        assert str(client._http.base_url).rstrip("/") == "http://limner.test"


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "Missing Authorization", errors.Unauthenticated),
        (403, "the licence of", errors.LicenceNotAccepted),
        (403, "no 'draw' scope", errors.Forbidden),
        (406, "scheduler is x", errors.UnknownScheduler),
        (406, "Invalid content type", errors.WrongContentType),
        (410, "gone", errors.Gone),
        (413, "long", errors.BodyTooLarge),
        (429, "slow", errors.LimitExceeded),
        (500, "fault", errors.EngineFault),
        (502, "<html>", errors.Unavailable),
    ],
)
def test_statuses_become_errors(status, said, kind):
    text = said if said.startswith("<") else f'{{"error": "{said}"}}'
    assert type(refusals.of_answer(status, text, 3.0)) is kind


def test_importing_limner_is_light():
    code = (
        "import sys, limner; assert 'httpx' not in sys.modules; limner.Client; "
        "assert not {'torch', 'fastapi', 'sqlalchemy', 'numpy'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert {"Client", "AsyncClient", "Picture"} <= set(dir(limner))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = limner.Nothing


@pytest.mark.slow
def test_the_page_says_how(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    said = {}
    for block in blocks:
        code = block.replace("http://127.0.0.1:8420", server.url).replace("SG_...", server.key)
        exec(code, said)
    said["client"].close()
    assert Image.open("knight.jpg").size == (512, 768)


def test_base64_is_what_goes_over_the_wire():
    assert base64.b64decode(to_text(b"bytes")) == b"bytes"


def test_a_regions_mask_may_be_a_picture():
    mask = Image.new("L", (64, 64), 255)
    body = words.to_body("x", {"regions": [{"prompt": "a knight", "mask": mask}]})
    [region] = body["regions"]
    assert imaging.read_mask(base64.b64decode(region["mask"]), "mask").all()
    assert region["prompt"] == "a knight"


def test_a_controls_picture_may_be_a_file(tmp_path):
    path = tmp_path / "map.png"
    Image.new("RGB", (64, 64), "red").save(path)
    body = words.to_body("x", {"controls": [{"name": "canny", "image": path, "weight": 0.5}]})
    [control] = body["controls"]
    assert base64.b64decode(control["image"]) == path.read_bytes()
    assert (control["name"], control["weight"]) == ("canny", 0.5)
