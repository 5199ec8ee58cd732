"""AUTOMATIC1111's surface, through the client webuiapi over a real socket."""

import base64
import hashlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import webuiapi
from PIL import Image
from starlette.testclient import TestClient

from limner import imaging
from limner.cli.serving import open_local
from limner.domain import automatic1111
from limner.domain.hires import LATENT_MODES
from limner.engine.batching.fake import fake_pixels
from limner.store import keys
from limner.web.automatic1111 import form
from tests.waiting import LONG_S, HeldEngine, wait_for, wait_until
from tests.web import fakes
from tests.web.served import serve

TXT2IMG = "/sdapi/v1/txt2img"
PAGE = Path(__file__).parents[3] / "docs" / "automatic1111.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("sdapi"), engine=HeldEngine(held=False)) as running:
        yield running


def client_of(server, key):
    client = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1", username="me", password=key)
    client.key = key
    return client


@pytest.fixture
def api(server):
    client = client_of(server, server.new_key())
    yield client
    client.session.close()


def stored(server, api):
    with server.http(api.key) as http:
        return http.get("/api/requests?limit=1").json()["requests"][0]


def told(result):
    return result.info["adjustments"]


def red(size=(64, 64)):
    return Image.new("RGB", size, "red")


def test_txt2img(server, api):
    result = api.txt2img(
        prompt="a knight", negative_prompt="blurry", seed=5, steps=7, cfg_scale=6,
        sampler_name="Heun", width=128, height=64, batch_size=2, n_iter=2,
    )  # fmt: skip
    assert len(result.images) == 4
    for index, image in enumerate(result.images):
        assert np.array_equal(np.asarray(image), fake_pixels("a knight", 5 + index, 128, 64))
        assert image.info["parameters"].startswith("a knight\nNegative prompt: blurry\nSteps: 7")
    info = result.info
    assert (info["seed"], info["all_seeds"]) == (5, [5, 6, 7, 8])
    assert (info["sampler_name"], info["steps"], info["cfg_scale"]) == ("Heun", 7, 6.0)
    assert info["infotexts"][3].splitlines()[0] == "a knight"
    assert told(result) == []
    assert result.parameters["batch_size"] == 2
    drawn = stored(server, api)
    assert (drawn["surface"], drawn["generation"]["sampler"]) == ("automatic1111", "Heun")
    assert info["cost"] == drawn["cost"] == 4 * 13 * 2 * 2 / 1e6
    assert info["remaining_credits"] == 10 - drawn["cost"]


def test_a_variation_keeps_its_seed(server, api):
    result = api.txt2img(prompt="x", seed=9, subseed=3, subseed_strength=0.2, batch_size=2, steps=1)
    assert result.info["all_seeds"] == [9, 9]
    assert result.info["all_subseeds"] == [3, 4]
    assert stored(server, api)["generation"]["subseed_strength"] == 0.2


def test_a_template_is_drawn_for_each_picture(server, api):
    body = {"prompt": "a {red|blue|green} knight", "template": True, "seed": 3, "batch_size": 6}
    body |= {"width": 64, "height": 64, "steps": 3, "style_mix": {"sequence": ["one", "two"]}}
    with server.http(api.key) as http:
        answer = http.post(TXT2IMG, json=body).json()
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [*range(3, 9), *range(3, 9)]
    assert len({prompt.split()[1] for prompt in info["all_prompts"]}) == 3
    assert [prompt.endswith("two") for prompt in info["all_prompts"]] == [False] * 6 + [True] * 6
    wanted = zip(info["all_prompts"], info["all_seeds"], strict=True)
    for image, (prompt, seed) in zip(answer["images"], wanted, strict=True):
        pixels = imaging.read_image(base64.b64decode(image))
        assert np.array_equal(pixels, fake_pixels(prompt, seed, 64, 64))


def test_what_is_not_done_is_told(api):
    result = api.txt2img(
        prompt="x", steps=1, width=500, sampler_name="DPM++ 2M", scheduler="turbo", s_churn=4,
        restore_faces=True, styles=["heavy armour", "nobody's"],
        override_settings={"CLIP_stop_at_last_layers": 2, "samples_format": "jpg"},
        alwayson_scripts={"Dragon": {"args": []}},
    )  # fmt: skip
    notes = told(result)
    assert "width 500 was floored to 496, a multiple of 8" in notes
    assert 'scheduler "turbo" was ignored; Karras was used' in notes
    assert "s_churn was ignored: DPM++ 2M has none" in notes
    assert "style nobody's is unknown and was ignored" in notes
    assert "override_settings.samples_format was ignored" in notes
    for name in ("restore_faces", "alwayson_scripts.Dragon"):
        assert f"{name} was ignored" in notes
    assert result.info["clip_skip"] == 2
    assert result.info["prompt"].startswith("x, ornate plate armour")
    assert result.info["negative_prompt"].startswith("modern clothing")


def test_hires_fix(api):
    asked = {"steps": 4, "seed": 3, "width": 256, "height": 384, "enable_hr": True}
    result = api.txt2img(
        prompt="x", **asked, hr_scale=1.5, hr_upscaler="None", hr_second_pass_steps=2,
        denoising_strength=0.5, hr_prompt="larger x", hr_checkpoint_name="other",
    )  # fmt: skip
    assert result.image.size == (384, 576)
    assert told(result) == [
        "hr_checkpoint_name other was ignored; both passes are drawn with the same checkpoint"
    ]
    receipt = api.png_info(result.images[0]).json["items"]["limner"]
    assert receipt["parameters"]["hires"] == {
        "width": 384,
        "height": 576,
        "upscaler": "Lanczos",
        "steps": 2,
        "strength": 0.5,
        "prompt": "larger x",
    }
    sized = api.txt2img(prompt="x", **asked, hr_resize_x=401, hr_sampler_name="Euler a")
    assert sized.image.size == (400, 600)
    assert told(sized) == ["hr_resize_x 401 was floored to 400, a multiple of 8"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"hr_upscaler": "R-ESRGAN 4x+"},
            "hr_upscaler is 'R-ESRGAN 4x+'; it must be one of Latent, Latent (antialiased), Latent",
        ),
        ({"hr_scale": 4, "width": 768}, "hires would be 3072x2048; a side has at most 2048"),
        ({"hr_resize_x": 7}, "hr_resize_x is 7; it must be 0, or 64 to 2048"),
        ({"hr_resize_y": 63}, "hr_resize_y is 63; it must be 0, or 64 to 2048"),
        ({"hr_resize_x": 64, "height": 64}, "hires would be 64x8; a side has at least 64"),
        ({"hr_prompt": "<lora:a:1>"}, "hr_prompt has a tag of a LoRA"),
        (
            {"sampler_name": "UniPC", "scheduler": "Automatic", "denoising_strength": 0.1},
            "denoising_strength 0.1 of 2 steps leaves no step to run",
        ),
    ],
)
def test_hires_that_cannot_be(server, fields, sentence):
    with server.http() as http:
        answer = http.post(TXT2IMG, json={"steps": 2, "enable_hr": True, **fields})
    assert answer.status_code in (400, 422)
    assert sentence in answer.text


def test_seeds_and_noise_are_overridden_as_there(api):
    asked = {"eta_noise_seed_delta": 31337, "randn_source": "CPU"}
    result = api.txt2img(prompt="x", steps=1, seed=3, override_settings=asked)
    assert told(result) == []
    receipt = api.png_info(result.images[0]).json["items"]["limner"]
    drawn = receipt["parameters"]
    assert (drawn["eta_noise_seed_delta"], drawn["noise_source"]) == (31337, "torch-cpu")


def test_guidance_is_skipped_early_and_thresholded(api):
    result = api.txt2img(
        prompt="x", steps=10, cfg_scale=9, sampler_name="Euler",
        override_settings={"skip_early_cond": 0.2},
        alwayson_scripts={
            "Dynamic Thresholding (CFG Scale Fix)": {"args": [True, 6, 98, "Constant"]},
            "seed": {"args": []},
        },
    )  # fmt: skip
    assert told(result) == ["alwayson_scripts.seed was ignored"]
    [text] = result.info["infotexts"]
    assert "Skip Early CFG: 0.2, Dynamic thresholding enabled: True, Mimic scale: 6" in text
    assert "Threshold percentile: 98" in text
    cost = sum([1, 1, 1] + [2] * 7)
    assert result.info["cost"] * 1_000_000 == cost * 64


def test_what_an_extension_is_asked_in_vain_is_refused(server, api):
    for script, words in (
        ({"args": [True, 6, 98, "Sometimes"]}, "args.mimic_mode is"),
        ({"args": [True, "much"]}, "args.mimic_scale is"),
        ({"args": {}}, "must be as"),
        (7, "must be as"),
    ):
        scripts = {"dynamic thresholding (cfg scale fix)": script}
        with server.http(api.key) as http:
            answer = http.post(TXT2IMG, json={"steps": 1, "alwayson_scripts": scripts})
        assert answer.status_code == 400
        assert words in answer.text


def test_only_what_is_needed(server):
    with server.http() as http:
        body = http.post(TXT2IMG, json={}).json()
    assert set(body) == {"images", "parameters", "info"}
    info = json.loads(body["info"])
    assert (info["steps"], info["sampler_name"], info["cfg_scale"]) == (50, "Euler", 7.0)
    assert 0 <= info["seed"] < 2**32
    assert info["adjustments"] == []
    picture = base64.b64decode(body["images"][0], validate=True)
    assert imaging.read_image(picture).shape == (512, 512, 3)


def test_without_pictures(api):
    result = api.txt2img(prompt="x", steps=1, send_images=False)
    assert result.images == []
    assert result.info["cost"] > 0


def test_img2img(server, api):
    result = api.img2img(images=[red()], prompt="x", steps=10, denoising_strength=0.5,
                         resize_mode=1, width=64, height=128)  # fmt: skip
    assert result.images[0].size == (64, 128)
    assert told(result) == []
    source = stored(server, api)["generation"]["source"]
    assert (source["strength"], source["resize_mode"]) == (0.5, "crop")
    assert (source["mask_sha256"], source["mask_blur"]) == (None, 0)
    assert result.parameters["init_images"] is None
    kept = api.img2img(images=[red()], prompt="x", steps=1, denoising_strength=1,
                       include_init_images=True)  # fmt: skip
    assert kept.parameters["init_images"][0].startswith("data:image/png;base64,")


@pytest.mark.parametrize("invert", [0, 1, False, True, "true", 1.0])
def test_inpainting(server, api, invert):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    result = api.img2img(
        images=[red()], mask_image=mask, prompt="x", steps=4, denoising_strength=0.8, mask_blur=8,
        inpainting_fill=0, inpainting_mask_invert=invert, inpaint_full_res=True, resize_mode=3,
    )  # fmt: skip
    assert told(result) == [
        "resize_mode 3 (latent) was done as 0, in pixels",
    ]
    source = stored(server, api)["generation"]["source"]
    pixels = np.asarray(mask) >= 128
    pixels = np.where(pixels != (invert not in (0, False)), np.uint8(255), np.uint8(0))
    assert source["mask_sha256"] == _sha256(pixels)
    assert (source["mask_blur"], source["resize_mode"]) == (8, "stretch")
    assert (source["only_masked"], source["mask_padding"], source["mask_fill"]) == (True, 0, "fill")


def test_the_whole_picture_is_inpainted_at_the_size_asked_for(server, api):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    fields = {"inpaint_full_res": False, "inpainting_fill": 2, "mask_blur_x": 3, "mask_blur_y": 9}
    fields["initial_noise_multiplier"] = 0.9
    files = [base64.b64encode(imaging.to_png(np.asarray(each))).decode() for each in (red(), mask)]
    encoded = {"init_images": files[:1], "mask": files[1]}
    with server.http(api.key) as http:
        answer = http.post("/sdapi/v1/img2img", json={"prompt": "x", **encoded, **fields})
    assert json.loads(answer.json()["info"])["adjustments"] == []
    source = stored(server, api)["generation"]["source"]
    pixels = np.asarray(mask.resize((512, 512), Image.Resampling.LANCZOS)) >= 128
    assert source["mask_sha256"] == _sha256(np.where(pixels, np.uint8(255), np.uint8(0)))
    assert (source["mask_blur"], source["mask_blur_y"], source["mask_fill"]) == (3, 9, "noise")
    assert source["noise_multiplier"] == 0.9
    assert "Noise multiplier: 0.9, Mask blur X: 3, Mask blur Y: 9" in answer.json()["info"]
    assert "only_masked" not in source


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("txt2img", {"steps": 151}, "steps is 151; it must be a whole number 1 to 150"),
        ("txt2img", {"batch_size": 4, "n_iter": 5}, "makes 20 pictures; at most 16"),
        ("txt2img", {"width": 32}, "width is 32"),
        ("txt2img", {"override_settings": {"CLIP_stop_at_last_layers": 20}}, "1 to 12"),
        ("txt2img", {"override_settings": 7}, "must be an object"),
        ("txt2img", {"override_settings": {"randn_source": "XPU"}}, "must be one of gpu, nv, cpu"),
        ("img2img", {"prompt": "x"}, "init_images is missing"),
        ("img2img", {"init_images": ["!"]}, "init_images is no base64"),
        ("img2img", {"init_images": ["!"], "steps": 2, "denoising_strength": 0.1,
                     "sampler_name": "UniPC"},
         "denoising_strength is 0.1, which leaves none of 2 steps"),
        ("png-info", {"image": 3}, "image is 3"),
        ("options", {"sd_model_checkpoint": "another"}, "sd_model_checkpoint is 'another', which"),
    ],
)  # fmt: skip
def test_bad_fields_are_named_in_its_envelope(server, path, body, text):
    with server.http() as http:
        answer = http.post(f"/sdapi/v1/{path}", json=body)
    assert answer.status_code == 400
    assert text in answer.json()["detail"]
    assert set(answer.json()) == {"error", "detail", "body", "errors"}


def test_progress_and_interrupt_are_of_the_callers_own(server, api):
    other, results = client_of(server, server.new_key()), []
    assert api.get_progress()["state"]["job_count"] == 0
    both = [threading.Thread(target=lambda c=c: results.append(c.txt2img(prompt="x", steps=150)))
            for c in (api, other)]  # fmt: skip
    server.engine.hold()
    for thread in both:
        thread.start()

    def a_step_later():
        server.engine.release(steps=1)
        return api.get_progress()

    seen = wait_for(a_step_later, lambda p: p["progress"] > 0.05 and p["current_image"])
    assert 0 < seen["progress"] < 1
    assert seen["eta_relative"] > 0
    assert (seen["state"]["sampling_steps"], seen["state"]["job_count"]) == (150, 1)
    assert 0 < seen["state"]["sampling_step"] <= 150
    preview = imaging.read_image(base64.b64decode(seen["current_image"]))
    assert preview.shape == (16, 16, 3)
    with server.http(api.key) as http:
        quiet = http.get("/sdapi/v1/progress?skip_current_image=true").json()
    assert quiet["current_image"] is None
    api.interrupt()
    server.engine.release()
    for thread in both:
        thread.join(LONG_S)
    stopped, finished = sorted(results, key=lambda r: len(r.images))
    assert (stopped.images, len(finished.images)) == ([], 1)
    assert "nothing was billed" in told(stopped)[-1]
    api.util_wait_for_ready(0.01)
    with server.http(api.key) as http:
        assert http.get("/v1/get-user-credits").json()["credits"] == 10
    other.session.close()


def test_an_interrupted_call_says_that_it_took_nothing(server, api):
    server.engine.hold()
    with server.http(api.key) as http, ThreadPoolExecutor() as pool:
        call = pool.submit(http.post, "/sdapi/v1/txt2img", json={"prompt": "x", "steps": 4})
        wait_until(lambda: api.get_progress()["state"]["job_count"])
        wait_until(lambda: server.engine.status().running)
        api.interrupt()
        server.engine.release()
        answer = call.result(LONG_S)
    assert (answer.status_code, answer.json()["images"]) == (200, [])
    assert (answer.headers["x-cost"], answer.headers["x-remaining-credits"]) == ("0", "10")


def test_options_go_round(server, api):
    options = api.get_options()
    assert options["sd_model_checkpoint"] == api.util_get_current_model() == "fake [0000000000]"
    api.set_options(options)
    assert api.get_options() == options
    api.set_options({"CLIP_stop_at_last_layers": 2})
    assert api.txt2img(prompt="x", steps=1).info["clip_skip"] == 2
    other = client_of(server, server.new_key())
    assert other.get_options() == options
    assert other.txt2img(prompt="x", steps=1).info["clip_skip"] == 1
    other.session.close()
    api.util_set_model("fake")
    api.set_options({"CLIP_stop_at_last_layers": None, "sd_model_checkpoint": "fake.safetensors"})
    asked = {"CLIP_stop_at_last_layers": None}
    assert api.txt2img(prompt="x", steps=1, override_settings=asked).info["clip_skip"] == 2
    api.set_options({"CLIP_stop_at_last_layers": 0})
    assert api.get_options() == options


def test_lists(api):
    assert set(api.util_get_sampler_names()) == {entry["name"] for entry in automatic1111.listed()}
    assert {"automatic", "karras"} <= set(api.util_get_scheduler_names())
    assert "fake [0000000000]" in api.util_get_model_names()
    assert api.get_sd_models()[0]["model_name"] == "fake"
    assert "heavy armour" in {style["name"] for style in api.get_prompt_styles()}
    assert [row["name"] for row in api.get_upscalers()] == ["None", "Lanczos", "Nearest", "Scale2x"]
    assert "handheld" in {row["name"] for row in api.get_loras()}
    assert [row["name"] for row in api.get_latent_upscale_modes()] == list(LATENT_MODES)
    for empty in (api.get_sd_vae(), api.get_hypernetworks(),
                  api.get_face_restorers(), api.get_realesrgan_models()):  # fmt: skip
        assert empty == []
    embedded = api.get_embeddings()
    assert {name: row["shape"] for name, row in embedded["loaded"].items()} == {
        "squire-negative": 128
    }
    assert embedded["skipped"] == {}
    assert api.get_scripts() == {"txt2img": [], "img2img": ["sd upscale"]}
    assert api.get_cmd_flags()["api"] is True
    assert api.refresh_checkpoints() == {}
    assert api.skip() == {}


def test_png_info_reads_what_was_drawn(api):
    image = api.txt2img(prompt="a, b: (c:1.2)\nd", negative_prompt="e", seed=3, steps=2).images[0]
    found = api.png_info(image)
    assert found.info.startswith("a, b: (c:1.2)\nd\nNegative prompt: e\nSteps: 2")
    assert found.parameters["Prompt"] == "a, b: (c:1.2)\nd"
    assert found.parameters["Negative prompt"] == "e"
    assert (found.parameters["Seed"], found.parameters["Size-1"]) == ("3", "512")
    assert found.json["items"]["limner"]["parameters"]["seed"] == 3
    assert api.png_info(red()).info == ""


@pytest.mark.parametrize(
    ("prompt", "drawn", "note"),
    [
        ("a cat # a dog", "a cat", "prompt: \"# a dog\" was left out: here '#' begins a comment"),
        ("# x\na cat\n  # y\nred", "a cat\nred", 'prompt: "# x" and 1 more was left out'),
        ("a cat", "a cat", None),
    ],
)
def test_comments_are_not_drawn(server, api, prompt, drawn, note):
    result = api.txt2img(prompt=prompt, negative_prompt="b #c", steps=1, width=64, height=64)
    generation = stored(server, api)["generation"]
    assert (generation["prompt"], generation["negative_prompt"]) == (drawn, "b")
    assert any(each.startswith("negative_prompt: ") for each in told(result))
    assert any(each.startswith(note) for each in told(result)) if note else len(told(result)) == 1


def test_equal_pictures_are_equal_files(api):
    body = {"prompt": "a cat", "steps": 1, "width": 64, "height": 64, "seed": 5}
    files = {api.session.post(api.baseurl + "/txt2img", json=body).json()["images"][0]
             for _ in range(3)}  # fmt: skip
    assert len(files) == 1


def test_too_little_credit_and_no_key(server):
    poor = client_of(server, server.new_key(credits=0))
    with pytest.raises(RuntimeError, match="Insufficient credits"):
        poor.txt2img(prompt="x")
    poor.session.close()
    answer = httpx.post(server.url + TXT2IMG, json={}, timeout=LONG_S)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Limner"'
    assert answer.json()["detail"].startswith("Missing Authorization")


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("open"), open_sdapi=True) as running:
        open_local(running.settings, running.database)
        open_local(running.settings, running.database)
        yield running


def test_an_open_server_bills_the_account_local(open_server):
    api = webuiapi.WebUIApi(baseurl=f"{open_server.url}/sdapi/v1")
    assert len(api.txt2img(prompt="x", steps=1).images) == 1
    api.session.close()
    for auth in (("", ""), None):
        assert httpx.post(open_server.url + TXT2IMG, json={}, auth=auth).status_code == 200
    with open_server.database.read() as conn:
        assert [key.name for key in keys.listing(conn)].count("local") == 1
        local = next(key for key in keys.listing(conn) if key.name == "local")
    assert local.spent_micro == (1 + 50 + 50) * 2 * 64
    assert httpx.post(f"{open_server.url}/v1/sd1.5-rpg", json={}).status_code == 401
    wrong = httpx.post(open_server.url + TXT2IMG, json={}, auth=("me", "SG_wrong"))
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Host": "evil.example"},
    ],
)
def test_an_open_server_is_open_to_this_machine_only(open_server, headers):
    answer = httpx.get(f"{open_server.url}/sdapi/v1/options", headers=headers, timeout=LONG_S)
    assert answer.status_code == 401


def test_a_page_of_this_machine_may(open_server):
    headers = {"Origin": "http://localhost:3000"}
    answer = httpx.get(f"{open_server.url}/sdapi/v1/options", headers=headers, timeout=LONG_S)
    assert answer.status_code == 200


def test_a_closed_server_is_closed_to_this_machine_too(app):
    stranger = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 5))
    assert stranger.get("/sdapi/v1/options").status_code == 401


def test_a_reading_key_may_not_draw(client, services):
    answer = client.post(TXT2IMG, json={}, headers={"x-api-key": fakes.READER})
    assert answer.status_code == 403
    assert services.generate.orders == []


def test_the_page_says_how(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    port = server.url.rpartition(":")[2]
    said = {}
    exec(code.replace("8420", port).replace("SG_...", server.key), said)
    assert Image.open("knight.png").size == (512, 768)
    assert Image.open("blue.png").size == (512, 512)
    said["api"].session.close()


def test_the_page_names_every_field_and_sampler():
    page = PAGE.read_text()
    described = set(re.findall(r"`([\w.]+)`", page))
    assert set(form.IMG2IMG) <= described
    assert [entry["name"] for entry in automatic1111.listed() if entry["name"] not in page] == []


def _sha256(mask):
    return hashlib.sha256(mask.tobytes()).hexdigest()
