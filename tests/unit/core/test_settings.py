"""Where settings come from, and what a wrong one is told."""

from pathlib import Path

import pytest

from mailengine.core.config import load_settings
from mailengine.core.errors import InvalidInput


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILENGINE_CONFIG", raising=False)
    monkeypatch.delenv("MAILENGINE_DATA_DIR", raising=False)


def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    monkeypatch.setenv("MAILENGINE_CONFIG", str(path))


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().web.port == 8025
    toml(tmp_path, monkeypatch, '[web]\nport = 1111\nhost = "0.0.0.0"\n')
    assert load_settings().web.port == 1111
    monkeypatch.setenv("MAILENGINE_WEB_PORT", "2222")
    assert load_settings().web.port == 2222
    both = load_settings(web={"port": 3333})
    assert (both.web.port, both.web.host) == (3333, "0.0.0.0")


def test_a_secret_is_read_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://u:p@db/mail\n")
    monkeypatch.setenv("MAILENGINE_DATABASE_URL_FILE", str(path))
    settings = load_settings()
    assert settings.database_url == "postgresql://u:p@db/mail"
    assert "p@db" not in repr(settings)


def test_name_servers_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILENGINE_DNS_NAMESERVERS", "127.0.0.1, ::1")
    assert load_settings().dns.nameservers == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("variable", "complaint"),
    [
        ("MAILENGINE_WBE_PORT", "did you mean MAILENGINE_WEB_PORT"),
        ("MAILENGINE_WEB_PROT", "did you mean MAILENGINE_WEB_PORT"),
        ("MAILENGINE_DATABSE_URL_FILE", "did you mean MAILENGINE_DATABASE_URL"),
        ("MAILENGINE_WEB_PORT", "setting web.port"),
        ("MAILENGINE_WEB_FOOBAR", "web.foobar"),
        ("MAILENGINE_WEB_PORT_FILE", "cannot read"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, complaint: str) -> None:
    monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(InvalidInput, match=complaint) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILENGINE_SERVICE_HOST", "10.0.0.1")
    load_settings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[web]\nprot = 1", "web.prot: there is no setting of this name; did you mean web.port"),
        ("[wbe]\nport = 1", "wbe"),
        ("[web", "settings: "),
        ("[web]\nport = 70000", "setting web.port"),
    ],
)
def test_a_wrong_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    toml(tmp_path, monkeypatch, text)
    with pytest.raises(InvalidInput, match=complaint) as caught:
        load_settings()
    assert "\n" not in str(caught.value)
