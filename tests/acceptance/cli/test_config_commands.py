"""`config`: what is set and where it comes from, changes that keep the file, and a new secret."""

import tomllib
from pathlib import Path

import pytest

from mailengine.core.config import setting_fields
from support.installation import Installation, install
from support.program import Program

TOKEN = "a token that is long enough"
EXAMPLE = Path(__file__).parents[3] / "deploy" / "mailengine.example.toml"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("config"), 1)


@pytest.fixture
def file(house: Installation) -> Path:
    path = house.data_dir / "mailengine.toml"
    path.write_text("# mine\n[web]\nport = 8080  # the proxy knows\n")
    path.chmod(0o600)
    return path


def shown(house: Installation, **environment: str) -> dict[str, dict[str, object]]:
    return {row["setting"]: row for row in house.ok("config", "show", "--json", **environment).json["items"]}


def test_origins(house: Installation, file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    found = shown(house, MAILENGINE_WEB_HOST="127.0.0.2", MAILENGINE_HEALTH_TOKEN_FILE=str(secret))
    assert set(found) == set(setting_fields())
    assert (found["web.port"]["value"], found["web.port"]["origin"]) == (8080, str(file))
    assert found["web.host"]["origin"] == "MAILENGINE_WEB_HOST"
    assert (found["health.token"]["value"], found["health.token"]["origin"]) == (
        "(set)",
        "MAILENGINE_HEALTH_TOKEN_FILE",
    )
    assert found["log.level"]["origin"] == "default"
    assert TOKEN not in house.ok("config", "show", "--origin", MAILENGINE_HEALTH_TOKEN=TOKEN).out


def test_set_keeps_comments_and_is_refused_as_a_whole(house: Installation, file: Path) -> None:
    house.ok("config", "set", "web.base_url", "https://news.example.org")
    house.ok("config", "set", "web.port", "9090")
    house.ok("config", "set", "dns.nameservers", "127.0.0.1, 127.0.0.2")
    text = file.read_text()
    assert "# mine" in text
    assert "# the proxy knows" in text
    written = tomllib.loads(text)
    assert written["web"] == {"port": 9090, "base_url": "https://news.example.org"}
    assert written["dns"]["nameservers"] == ["127.0.0.1", "127.0.0.2"]
    assert file.stat().st_mode & 0o077 == 0
    for name, value in (("web.port", "many"), ("web.port", "70000"), ("web.prt", "1"), ("dns.nameservers", "nobody"),
                        ("data_dir", "/elsewhere"), ("web", "1")):  # fmt: skip
        ran = house.run("config", "set", name, value)
        assert (ran.code, ran.out) == (2, ""), name
        assert ran.complaint
    assert file.read_text() == text
    house.ok("config", "unset", "dns.nameservers")
    assert "nameservers" not in file.read_text()


def test_what_has_no_effect_is_said(house: Installation, file: Path) -> None:
    ran = house.ok("config", "set", "web.port", "9091", MAILENGINE_WEB_PORT="1")
    assert "MAILENGINE_WEB_PORT" in ran.err


def test_check_finds_what_is_wrong(house: Installation, file: Path) -> None:
    assert house.ok("config", "check", "--json").json["set"] == ["data_dir", "web.port"]
    file.write_text("[web]\nprot = 1\n")
    ran = house.run("config", "check")
    assert (ran.code, "did you mean web.port" in ran.complaint) == (2, True)
    file.write_text("[web\n")
    assert house.run("config", "check").code == 2
    file.unlink()
    assert house.ok("config", "path", "--json").json == {"file": str(file), "exists": False}


def test_the_example_is_whole_and_can_be_used(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    text = program.ok("config", "example").out
    assert text == EXAMPLE.read_text(), "run `python tests/support/settings_table.py`"
    for name, field in setting_fields().items():
        assert f"# {field.description}\n# {name.rpartition('.')[2]} = " in text, name
    used = tmp_path / "used.toml"
    used.write_text(text)
    assert program.run("--config", str(used), "config", "show").code == 0


def test_a_new_secret_keeps_what_is_sealed_and_sent(house: Installation) -> None:
    house.ok(
        "relay", "add", "sealed", "--host", "127.0.0.1", "--port", "1", "--tls", "none", "--username", "me",
        "--password-file", "-", stdin="s3cret words",
    )  # fmt: skip
    house.ok("domain", "add", "example.org")
    secret = house.data_dir / "secret.key"
    before = secret.read_text()
    sealed = house.sql("SELECT password_sealed FROM relays WHERE name = 'sealed'")
    assert house.ok("config", "rotate-key", "--json").json["resealed"] == 2
    assert secret.read_text().splitlines()[1] == before.strip()
    assert secret.stat().st_mode & 0o077 == 0
    assert house.sql("SELECT password_sealed FROM relays WHERE name = 'sealed'") != sealed
    house.ok("debug", "compose", "--campaign", "Spring", "--contact", "ann@example.net")
    assert house.run("config", "rotate-key", "--forget-old").code == 2
    house.ok("config", "rotate-key", "--forget-old", "--yes")
    assert before.strip() not in secret.read_text().splitlines()
    assert "authentication" not in house.run("relay", "test", "sealed").err  # the password still opens
    house.ok("debug", "compose", "--campaign", "Spring", "--contact", "ann@example.net")


def test_a_secret_of_the_settings_is_rotated_by_hand(tmp_path: Path) -> None:
    old, new = "ab" * 32, "cd" * 32
    program = Program(tmp_path / "data", MAILENGINE_SECRET_KEY=old)
    program.init()
    assert "openssl" in program.run("config", "rotate-key").complaint
    program.ok("config", "rotate-key", MAILENGINE_SECRET_KEY=f"{new} {old} hash:{old}")
