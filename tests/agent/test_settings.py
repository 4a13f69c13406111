"""Settings from variables: what is read, and how a bad value is answered."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.settings import Settings, SettingsError


def test_defaults_are_the_embedded_tier() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port) == ("127.0.0.1", 7860)
    assert settings.slate_size == 5
    assert settings.endpoint_url is None
    assert settings.catalog.name == "movies"


def test_a_variable_is_read_and_an_argument_beats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_PORT", "8080")
    monkeypatch.setenv("PARLEY_HOME", "/somewhere/else")
    assert Settings.load().port == 8080
    assert Settings.load().home == Path("/somewhere/else")
    assert Settings.load(port=9000).port == 9000


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PARLEY_PORT", "99999", "PARLEY_PORT=99999: .*less than or equal to 65535"),
        ("PARLEY_PORT", "web", "PARLEY_PORT=web: .*valid integer"),
        ("PARLEY_UNDERSTANDER", "magic", "PARLEY_UNDERSTANDER=magic: .*'rules'"),
        ("PARLEY_ALPHA", "-1", "PARLEY_ALPHA=-1: .*greater than or equal to 0"),
        ("PARLEY_SLATE_SIZE", "0", "PARLEY_SLATE_SIZE=0"),
        ("PARLEY_ENDPOINT_URL", "localhost:8000", "PARLEY_ENDPOINT_URL=localhost:8000"),
        ("PARLEY_ENDPOINT_URL", "http://localhost:8000/v1", "PARLEY_ENDPOINT_MODEL is not"),
        ("PARLEY_PROT", "8080", "PARLEY_PROT is not a setting.*did you mean PARLEY_PORT"),
    ],
)
def test_a_bad_value_names_variable_value_and_remedy(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said):
        Settings.load()


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ENDPOINT_KEY", "very-secret")
    assert "very-secret" not in repr(Settings.load())
