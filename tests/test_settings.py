"""Settings: order of sources, refusals, defaults, and the page that lists them."""

from pathlib import Path

import pytest

from limner import logs, settings
from limner.errors import SettingsError

NO_FILE = {"XDG_CONFIG_HOME": "/nonexistent"}


def load(flags=None, environ=None, file=None):
    return settings.load(flags, {**NO_FILE, **(environ or {})}, file)


def write(folder: Path, text: str) -> Path:
    path = folder / "limner.toml"
    path.write_text(text)
    return path


def test_defaults():
    made = load()
    assert (made.host, made.port, made.slug) == ("127.0.0.1", 8420, "sd1.5-rpg")
    assert made.public_url == "http://127.0.0.1:8420"
    assert made.database_url == f"sqlite:///{made.data_dir}/limner.db"
    assert not made.strict
    assert not made.base64_default


def test_flags_before_variables_before_file(tmp_path):
    file = write(tmp_path, "port = 1\nslug = 'file'\nhost = 'file'\n")
    environ = {"LIMNER_PORT": "2", "LIMNER_SLUG": "variable"}
    made = load({"port": 3, "slug": None}, environ, file)
    assert (made.port, made.slug, made.host) == (3, "variable", "file")


def test_folders_of_models_come_as_lists_or_with_commas(tmp_path):
    wanted = (Path("/a b"), Path.home() / "models")
    toml = write(tmp_path, "models_dirs = ['/a b', '~/models']")
    for made in (
        load(environ={"LIMNER_MODELS_DIRS": "/a b, ~/models"}),
        load(file=toml),
        load({"models_dirs": [Path("/a b"), Path("~/models")]}),
    ):
        assert made.models_dirs == wanted
    with pytest.raises(SettingsError, match=r"--models-dirs is not a setting. .* --models-dir"):
        load({"models-dirs": 1})


def test_the_file_is_found_by_variable_and_by_place(tmp_path):
    file = write(tmp_path, "port = 7\n")
    assert load(environ={"LIMNER_CONFIG": str(file)}).port == 7
    (tmp_path / "limner").mkdir()
    write(tmp_path / "limner", "port = 8\n")
    assert settings.load({}, {"XDG_CONFIG_HOME": str(tmp_path)}).port == 8


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "sentence"),
    [
        ({}, {"LIMNER_PROT": "1"}, "", "LIMNER_PROT is not a setting. Did you mean LIMNER_PORT?"),
        ({}, {}, "modle = 'x'", "modle in "),
        ({"prot": 1}, {}, "", "--prot is not a setting. Did you mean --port?"),
        ({}, {"LIMNER_PORT": "abc"}, "", "LIMNER_PORT = 'abc'"),
        ({"port": 70000}, {}, "", "--port = 70000"),
        ({}, {}, "port = ", "is not TOML"),
        ({}, {"LIMNER_DATABASE_URL": "mysql://u:secret@h/n"}, "", "mysql://u:***@h/n"),
        ({"body_max_bytes": 1}, {}, "", "1024"),
        ({"few_steps": "night=foo"}, {}, "", "'night=foo': night=foo: it must be NAME=FAMILY"),
    ],
)
def test_what_stops_the_start(tmp_path, flags, environ, toml, sentence):
    with pytest.raises(SettingsError, match=sentence.replace("*", r"\*").replace("?", r"\?")):
        load(flags, environ, write(tmp_path, toml))


def test_what_only_follows_from_a_fault_is_not_told():
    with pytest.raises(SettingsError) as told:
        load({"port": 70000})
    assert "public_url" not in str(told.value)


def test_a_missing_file_is_told():
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file=Path("/nonexistent/limner.toml"))


def test_frozen_and_closed():
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


def test_aliases_from_a_variable_and_from_toml(tmp_path):
    assert load(environ={"LIMNER_ALIASES": "rpg, rpg-v4"}).aliases == ("rpg", "rpg-v4")
    assert load(file=write(tmp_path, 'aliases = ["a"]')).aliases == ("a",)


def test_passwords_are_not_shown():
    made = load({"database_url": "postgresql+psycopg://limner:secret@db:5432/limner"})
    assert "secret" not in repr(made) + str(made.shown())
    assert made.shown()["database_url"] == "postgresql+psycopg://limner:***@db:5432/limner"


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "http://[::1]:8420"), ("0.0.0.0", "http://0.0.0.0:8420")]
)
def test_public_url_from_the_host(host, url):
    assert load({"host": host}).public_url == url
    assert (
        load({"host": host, "public_url": "https://a.example/"}).public_url == "https://a.example"
    )


def test_every_limit_names_its_unit():
    units = ("_s", "_bytes", "_mib", "_requests", "_minute", "_hours", "_days", "_concurrent")
    limits = [name for name in settings.Settings.model_fields if "_max" in name or "keep" in name]
    bare = [name for name in limits if not name.endswith(units)]
    assert bare == ["connections_max"]  # its unit comes first


def test_the_page_lists_every_setting():
    page = Path(__file__).parents[1] / "docs" / "settings.md"
    assert page.read_text().endswith("\n\n" + settings.table())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:hunter2@h/d",
        "postgresql+psycopg://u:hunter2/with/slashes@h/d",
        "postgresql+psycopg://u:p@hunter2@h/d",
        "postgresql://u:hunter2@[bad",
        "postgresql://h/d?user=u&password=hunter2&sslmode=prefer",
    ],
)
def test_no_password_is_shown(url):
    shown = settings.without_password(f"cannot open {url} at all")
    assert "hunter2" not in shown
    assert shown.startswith("cannot open postgresql")
    assert shown.endswith(" at all")
    assert logs.hide(url) == settings.without_password(url)
