"""What stands before the API: keys, limits, sizes, ids, origins, and a log without words."""

import logging
from pathlib import Path

import httpx
import pytest

from agent.api.keys import Keys
from agent.settings import Settings, SettingsError
from tests.api.shop import Api

SHOP, OTHER = "shop-key-0123456789", "other-key-0123456789"


def test_with_keys_only_their_holders_come_in(tmp_path: Path) -> None:
    keys = f"shop:{SHOP},other:{OTHER}"
    with Api(tmp_path, api_keys=keys) as api, httpx.Client(base_url=api.url) as web:
        assert web.get("/api/v1/health").status_code == 200  # a load balancer has no key
        for headers in ({}, {"Authorization": "Bearer x"}, {"X-API-Key": SHOP[:-1]}):
            for path in ("/api/v1/items", "/v1/models", "/api/v1/openapi.json"):
                answer = web.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert answer.headers["www-authenticate"] == "Bearer"
        shop, other = {"Authorization": f"Bearer {SHOP}"}, {"X-API-Key": OTHER}
        person = {"X-Parley-User": "ann"}
        thread = web.post("/api/v1/conversations", headers=shop | person).json()["thread"]
        path = f"/api/v1/conversations/{thread}"
        assert web.get(path, headers=shop | person).status_code == 200
        # The same name, of another key or of none: another person.
        assert web.get(path, headers=other | person).status_code == 404
        assert web.get(path, headers=shop).status_code == 404
        nameless = web.get("/api/v1/profile", headers=shop)
        assert nameless.json()["error"]["code"] == "nobody_named"
        spec = web.get("/api/v1/openapi.json", headers=shop).json()
        assert spec["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def test_keys_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# of the shop\nshop:{SHOP}\n\n{OTHER}  # unnamed\n")
    keys = Keys.of(Settings.load(api_keys=str(file)))
    assert keys.name_of(SHOP) == "shop" and keys.name_of(OTHER) == "key2"
    assert keys.name_of("") is None and keys.name_of(SHOP + "x") is None
    assert keys.name_of("schlüssel") is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("shop:short", "at least 16"),
        (f"a:{SHOP},a:{OTHER}", "repeats the name 'a'"),
        ("/nowhere/keys.txt", "cannot be read"),
        (f"a b:{SHOP}", "is no key"),
        (",", "is no key"),
    ],
)
def test_keys_that_cannot_be_used(told: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        Keys.of(Settings.load(api_keys=told))
    assert SHOP not in str(refused.value)


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    with Api(tmp_path, rate_limit="3/minute") as api, httpx.Client(base_url=api.url) as web:
        for left in (2, 1, 0):
            answer = web.get("/api/v1/items")
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-remaining"] == str(left)
        refused = web.get("/v1/models")
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) <= 60
        told = refused.json()["error"]
        assert told["type"] == "rate_limit_error" and "3 per 1 minute" in told["message"]
        assert web.get("/api/v1/health").status_code == 200


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("rate_limit", "a lot", "60/minute"),
        ("cors_origins", "shop.example", "no origin"),
        ("cors_origins", "https://shop.example/path", "no origin"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, setting: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Api(tmp_path, **{setting: value})


def test_other_sites_may_read_only_where_they_are_named(tmp_path: Path, api: Api) -> None:
    site = {"Origin": "https://shop.example"}
    plain = httpx.get(f"{api.url}/api/v1/health", headers=site)
    assert "access-control-allow-origin" not in plain.headers
    origins = "https://shop.example, http://localhost:3000"
    with Api(tmp_path, cors_origins=origins, api_keys=f"s:{SHOP}") as own:
        asks = site | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, x-parley-user",
        }
        path = f"{own.url}/v1/chat/completions"
        allowed = httpx.options(path, headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        refused = httpx.options(path, headers=asks | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers


def test_a_body_may_not_be_endless(api: Api) -> None:
    path = f"{api.url}/v1/chat/completions"
    told = httpx.post(path, content=b"x" * 1_048_577)
    assert told.status_code == 413 and "at most 1048576" in told.json()["error"]["message"]

    def endless() -> object:
        for _ in range(100):
            yield b"x" * 20_000

    chunked = httpx.post(path, content=endless(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413 and chunked.json()["error"]["code"] == "too_long"


def test_a_page_of_another_site_cannot_post_without_asking(api: Api) -> None:
    """A form or a plain-text fetch needs no permission of CORS: it is not read as JSON."""
    body = '{"model": "parley", "messages": [{"role": "user", "content": "a lamp"}]}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        path = f"{api.url}/v1/chat/completions"
        answer = httpx.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400


def test_every_answer_has_an_id_and_the_log_no_words(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "parley.api"), httpx.Client(base_url=api.url) as web:
        mine = web.get("/api/v1/items", headers={"X-Request-Id": "trace-0123456789"})
        assert mine.headers["x-request-id"] == "trace-0123456789"
        forged = web.get("/api/v1/items/secret-item", headers={"X-Request-Id": "a b\tc"})
        assert forged.status_code == 404 and len(forged.headers["x-request-id"]) == 32
        thread = web.post("/api/v1/conversations").json()["thread"]
        path = f"/api/v1/conversations/{thread}/turns"
        web.post(path, json={"text": "my secret wish"})
        web.get("/api/v1/items", params={"q": "my secret query"})
    assert "GET /api/v1/items 200" in caplog.text and "trace-0123456789" in caplog.text
    assert "secret" not in caplog.text
