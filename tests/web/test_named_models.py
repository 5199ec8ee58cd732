"""Names that are of several models, or of one that cannot be used: every surface says the same."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from limner.cli.main import typer_app
from limner.engine.batching.fake import FakeEngine
from limner.imaging import read_metadata
from tests.engine import checkpoint_files
from tests.engine.checkpoints import writing
from tests.engine.checkpoints.refused_files import REFUSED
from tests.models import chosen, files
from tests.web.conftest import PATH
from tests.web.served import serve

TWO = "which may be shelf:a/twin.safetensors and shelf:b/twin.safetensors; "
CUT = "model is 'cut', which cannot be used: cut.safetensors is empty"
LORA = "model is 'fox', which cannot be used as one. It is a LoRA"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    models = chosen.write(folder / "shelf")
    for inner in ("a", "b"):
        (models / inner).mkdir()
        shutil.copyfile(models / "knight.safetensors", models / inner / "twin.safetensors")
    (models / "a" / "twin.yaml").write_text("parameterization: v", encoding="utf-8")
    for name in ("cut.safetensors", "both.ckpt", "both.safetensors"):
        (models / name).touch()
    files.lora(models / "large.safetensors", width=2048)
    flux = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (2, 3072)}
    files.save(models / "flux.safetensors", flux)
    with serve(folder, engine=FakeEngine(), models_dirs=(models,)) as running:
        yield running


@pytest.mark.parametrize(("name", "told"), [("twin", TWO), ("cut", CUT), ("fox", LORA)])
def test_a_licences_page_says_what_a_drawing_does_of_a_name(served, name, told):
    with served.http() as http:
        refused = http.post(PATH, json={"prompt": "x", "model": name})
        page = http.get("/license", params={"model": name})
        assert (page.status_code, page.json()) == (refused.status_code, refused.json())
        assert told in page.json()["error"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Of each kind of file that the tests of loading refuse, one in a library."""
    folder = tmp_path_factory.mktemp("odd")
    tensors = checkpoint_files.original(writing.plain())
    for number, (make, _) in enumerate(REFUSED.values()):
        place = folder / "shelf" / f"{number:02}"
        place.mkdir(parents=True)
        make(place, tensors)
    with serve(folder / "served", engine=FakeEngine(), models_dirs=(folder / "shelf",)) as running:
        yield running


def test_over_http_no_refusal_names_an_option_of_the_terminal(odd):
    with odd.http() as http:
        rows = http.get("/api/models").json()
        told = [str((row["reason"], row["notes"])) for row in rows]
        for row in rows:
            if row["library"] != "built-in":
                for field in ("model", "vae"):
                    refused = http.post(PATH, json={"prompt": "x", field: row["name"]})
                    told.append(refused.text)
    assert len(told) > 2 * len(REFUSED)
    assert [each for each in told if re.search(r" --\w|`limner ", each)] == []


def test_the_terminal_names_its_options(tmp_path):
    chosen.write(tmp_path / "shelf")
    bare = tmp_path / "shelf" / "bare.safetensors"
    files.without_vae(tmp_path / "shelf" / "knight.safetensors", bare)
    words = ["draw", "x", "--models-dir", tmp_path / "shelf", "--data-dir", tmp_path]
    for name, way in (("bare", "name one with --with-vae"), ("soft", "which belongs after --vae")):
        done = CliRunner().invoke(typer_app, [*map(str, words), "--with-model", name])
        assert way in str(done.exception)


@pytest.mark.parametrize("key", ["", "SG_" + "9" * 32])
def test_who_has_no_key_is_told_no_other_names(served, key):
    def asked(name):
        answer = http.get("/license", params={"model": name}, headers={"x-api-key": key})
        return answer.status_code, answer.json()["error"]

    with served.http() as http:
        several = "This model may be one of several; with a key the answer names them"
        assert asked("twin") == (400, several)
        assert asked("twim") == (404, "There is no such model here; GET /api/models lists them")
        assert asked("cut")[0] == 400
        told = http.get("/license", params={"model": "knigt"})
        assert (told.status_code, "did you mean 'knight'" in told.text) == (404, True)


def test_of_two_damaged_files_the_one_that_was_named_is_told(served):
    with served.http() as http:
        http.auth = ("me", http.headers.pop("x-api-key"))
        for name in ("both.safetensors", "both.ckpt"):
            override = {"sd_model_checkpoint": name}
            refused = http.post("/sdapi/v1/txt2img", json={"override_settings": override})
            assert f"is {name!r}, which cannot be used: {name} is empty" in refused.text


def test_loras_that_cannot_be_used_are_not_offered_to_automatic1111s_clients(served):
    with served.http() as http:
        http.auth = ("me", http.headers.pop("x-api-key"))
        names = {row["name"] for row in http.get("/sdapi/v1/loras").json()}
        assert ("fox" in names, "large" in names, "flux" in names) == (True, False, False)


def test_a_damaged_file_is_not_replaced_by_the_servers_own_model(served):
    with served.http() as http:
        body = {"prompt": "x", "model": "cut", "size": "64x64"}
        refused = http.post("/v1/images/generations", json=body)
        assert refused.status_code == 400
        assert CUT in refused.json()["error"]["message"]


def test_the_servers_vae_draws_with_checkpoints_that_have_none(tmp_path):
    models = chosen.write(tmp_path / "shelf")
    files.without_vae(models / "knight.safetensors", models / "bare.safetensors")
    vae = files.save_vae(tmp_path / "named.safetensors", checkpoint_files.models(seed=3)["vae"])
    engine = FakeEngine(others=[chosen.info(models / "bare.safetensors", vae)])
    served = serve(tmp_path / "served", engine=engine, models_dirs=(models,), vae=vae)
    with served as running, running.http(running.new_key()) as http:
        [row] = [row for row in http.get("/api/models").json() if row["name"] == "bare"]
        assert "needs_vae" not in row
        assert "VAE taken from named.safetensors, which the server names" in str(row["notes"])
        refused = http.post(PATH, json={"prompt": "x", "model": "bare"})
        assert http.post(refused.json()["error"].rpartition("POST ")[2]).is_success
        body = {"prompt": "x", "output_format": "png", "model": "bare"}
        drawn = read_metadata(http.post(PATH, json=body).content).receipt["model"]
        assert (drawn["name"], drawn["vae"]) == ("bare", "named.safetensors")
        again = http.post("/api/replay", json={"receipt": latest(http)}).json()
        assert again["identical"]


def latest(http):
    [picture] = http.get("/api/requests?limit=1").json()["requests"][0]["pictures"]
    return http.get(f"/api/receipts/{picture['id']}").json()
