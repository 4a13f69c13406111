"""Slates over HTTP against a real vLLM: the same as in-process, and never outside the mask."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from agent.engines.http import Endpoint
from agent.engines.slates import HttpSlates
from catalog.filters import Clause, compile
from catalog.items import Catalog
from tests.serving.conftest import BLOCKS
from tests.serving.server import Served
from tools.features import Query
from tools.slate_decoder import InProcessSlates, SlateRequest
from tools.slate_prompt import SlatePrompts
from tools.slate_wire import Limits
from tools.small_model import LoadedModel
from tools.tokens import SLOTS, SPECIAL

pytestmark = pytest.mark.serving
WORDS = "funny sad slow warm dark clever quiet loud strange gentle".split()


def clauses(k: int, catalog: Catalog) -> tuple[Clause, ...]:
    """Every third request has none; the others a year, a genre, or both."""
    genres = list(catalog.values("genres"))[:12]
    year = Clause(field="year", op="ge" if k % 2 else "le", values=(float(1960 + k % 50),))
    genre = Clause(field="genres", op="none" if k % 5 == 0 else "any", values=(genres[k % 12],))
    return ((), (year,), (year, genre))[k % 3]


def case(k: int, catalog: Catalog, loaded: LoadedModel) -> tuple[SlateRequest, Limits]:
    """A prompt and a prior of the agent's own form: 300 candidates, the rest by popularity."""
    rng = np.random.default_rng(k)
    limits = Limits(clauses(k, catalog))
    allowed = compile(catalog, limits.clauses)
    allowed[rng.choice(len(catalog), 6)] = False  # shown or refused before
    rows = np.flatnonzero(allowed)
    top = rng.choice(rows, min(300, len(rows)), replace=False)
    weights = np.where(allowed, catalog.popularity + np.float32(0.2), 0.0).astype(np.float64)
    weights[top] = 0.0
    weights *= 0.1 / max(weights.sum(), 1e-9)
    best = np.exp(rng.normal(size=len(top)) * 2)
    weights[top] = 0.9 * best / best.sum()
    prompts = SlatePrompts(loaded.tokenizer)
    said = f"something {WORDS[k % 10]} and {WORDS[k // 10 % 10]}, number {k}"
    query = Query(liked=tuple(int(r) for r in rng.choice(len(catalog), 3)))
    vectors = catalog.vectors[rng.choice(len(catalog), 2)]
    top = top[np.argsort(-weights[top], kind="stable")]
    ids = prompts.prompt(
        prompts.text([("user", said)]), query, vectors, top, catalog.codes, catalog.codebooks
    )
    return SlateRequest(ids, weights, 5, 2.0, 1), limits


def test_two_hundred_prompts_give_the_same_slates_as_in_process(
    served: Served, catalog: Catalog, loaded: LoadedModel
) -> None:
    cases = [case(k, catalog, loaded) for k in range(200)]
    engine = InProcessSlates(loaded, catalog.mask)
    here = [
        result
        for at in range(0, 200, 20)
        for result in engine.slates([request for request, _ in cases[at : at + 20]])
    ]
    endpoint = Endpoint(served.url, timeout=120)
    remote = HttpSlates(endpoint, "parley-small", catalog, loaded.sid_base)

    def ask(pair: tuple[SlateRequest, Limits]) -> Any:
        request, limits = pair
        return remote.slate(request.prompt, request.weights, 5, alpha=2.0, limits=limits)

    with ThreadPoolExecutor(16) as pool:
        there = list(pool.map(ask, cases))
    endpoint.close()
    different = [k for k in range(200) if here[k].rows != there[k].rows]
    assert not different
    gaps = [np.abs(np.subtract(a.logprobs, b.logprobs)).max() for a, b in zip(here, there)]  # noqa: B905
    assert max(gaps) < 0.01


def rows_in(choice: dict[str, Any], catalog: Catalog, loaded: LoadedModel) -> list[int]:
    """Catalogue rows of the items that a completion wrote."""
    ids = [token for token in choice["token_ids"] if token != loaded.eos]
    assert len(ids) % 3 == 0
    by_codes = {tuple(codes): row for row, codes in enumerate(catalog.codes.tolist())}
    out = []
    for k in range(0, len(ids), 3):
        codes = tuple(ids[k + level] - loaded.sid_base - 256 * level for level in range(3))
        out.append(by_codes[codes])  # KeyError: no such item
    return out


def test_two_hundred_at_once_with_different_constraints_break_none(
    client: httpx.Client, catalog: Catalog, loaded: LoadedModel
) -> None:
    def ask(k: int) -> int:
        request, limits = case(k, catalog, loaded)
        excluded = [catalog.ids[r] for r in np.argsort(-catalog.popularity)[k % 40 : k % 40 + 30]]
        sent = {
            "n": 8,
            "clauses": [c.model_dump(include={"field", "op", "values"}) for c in limits.clauses],
            "exclude": excluded,
            "prior": {"alpha": 0.3},
        }
        answer = client.post(
            "/completions",
            json={
                "model": "parley-small",
                "prompt": request.prompt,
                "max_tokens": 24,
                "temperature": 1.5,
                "seed": k,
                "return_token_ids": True,
                "vllm_xargs": {"slate": json.dumps(sent)},
            },
        )
        assert answer.status_code == 200, answer.text
        rows = rows_in(answer.json()["choices"][0], catalog, loaded)
        allowed = compile(catalog, limits.clauses)
        allowed[[catalog.row(item) for item in excluded]] = False
        assert len(rows) == min(8, int(allowed.sum()))
        return int((~allowed[rows]).sum()) + len(rows) - len(set(rows))

    with ThreadPoolExecutor(64) as pool:
        violations = list(pool.map(ask, range(200)))
    assert sum(violations) == 0


def preemptions(client: httpx.Client) -> float:
    metrics = client.get(str(client.base_url).removesuffix("v1/") + "metrics").text
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith("vllm:num_preemptions_total")
    )


def test_a_preempted_slate_is_the_same_slate(
    client: httpx.Client, catalog: Catalog, loaded: LoadedModel
) -> None:
    """Forty items are 120 tokens behind a prompt of 120: sixteen of them need twice the cache."""

    def ask(k: int) -> list[int]:
        body = {"model": "parley-small", "prompt": case(k, catalog, loaded)[0].prompt}
        body |= {"max_tokens": 120, "temperature": 0, "return_token_ids": True}
        sent = {"slate": json.dumps({"n": 40, "prior": {"alpha": 0.5}})}
        choice = client.post("/completions", json=body | {"vllm_xargs": sent}).json()["choices"][0]
        return rows_in(choice, catalog, loaded)

    before = preemptions(client)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, range(16)))
    assert preemptions(client) > before, f"none with {BLOCKS} blocks: the test has no teeth"
    assert all(len(set(rows)) == 40 for rows in together)
    assert [ask(k) for k in range(0, 16, 3)] == together[::3]


@pytest.mark.parametrize(
    ("xargs", "said"),
    [
        ({"slate": "no json"}, "slate"),
        ({"slate": '{"n": 0}'}, "slate.n"),
        ({"slate": '{"clauses": [{"field": "colour", "op": "any", "values": ["red"]}]}'}, "colour"),
        ({"slate": '{"clauses": [{"field": "year", "op": "all", "values": [1]}]}'}, "all"),
        ({"slate": '{"clauses": [{"field": "genres", "op": "any", "values": ["Noodle"]}]}'}, "No"),
        ({"slate": '{"clauses": [{"field": "year", "op": "ge", "values": [9999]}]}'}, "no item"),
        ({"slate": '{"rules": {"forbid": []}}'}, "forbid"),
        ({"slate": '{"catalog": "feedfeedfeedfeed"}'}, "catalogue"),
        ({"slate": '{"prior": {"weights": "%%"}}'}, "base64"),
        ({"slate": '{"open": true}'}, "open"),
        ({"slate": "{}", "reply": "{}"}, "one of them"),
        ({"reply": '{"slots": ["<i1.secret>"]}'}, "secret"),
    ],
)
def test_what_cannot_be_served_is_refused(
    client: httpx.Client, xargs: dict[str, str], said: str
) -> None:
    body = {"model": "parley-small", "prompt": "<task:slate><out>", "max_tokens": 3}
    answer = client.post("/completions", json=body | {"vllm_xargs": xargs})
    assert answer.status_code == 400
    assert said in answer.text


def test_a_slate_without_parameters_and_one_under_beam_search_are_masked_all_the_same(
    client: httpx.Client, catalog: Catalog, loaded: LoadedModel
) -> None:
    body = {"model": "parley-small", "prompt": "<task:slate><conv>hello<out>", "max_tokens": 12}
    body |= {"temperature": 2.0, "return_token_ids": True, "n": 4, "add_special_tokens": False}
    for choice in client.post("/completions", json=body).json()["choices"]:
        assert len(set(rows_in(choice, catalog, loaded))) == 4
    searched = body | {"use_beam_search": True, "max_tokens": 3, "temperature": 0.0}
    searched |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    answer = client.post("/completions", json=searched)
    assert answer.status_code == 200, answer.text
    words = [choice["text"] for choice in answer.json()["choices"]]
    codes = {
        "".join(f"<{'abc'[i]}_{c}>" for i, c in enumerate(row)) for row in catalog.codes.tolist()
    }
    assert len(words) == 4 and set(words) <= codes


def test_replies_write_their_slots_only_and_plain_text_never_a_code(client: httpx.Client) -> None:
    def ask(k: int, xargs: dict[str, str]) -> str:
        body = {"model": "parley-small", "prompt": "<task:reply><act:recommend><out>"}
        body |= {"max_tokens": 40, "temperature": 2.0, "seed": k, "skip_special_tokens": False}
        answer = client.post("/completions", json=body | ({"vllm_xargs": xargs} if xargs else {}))
        return str(answer.json()["choices"][0]["text"])

    def written(text: str) -> list[str]:
        return [token for token in SPECIAL if token in text]

    slots = {"reply": json.dumps({"slots": ["<i1.title>", "<m2>"], "once": ["<m2>"]})}
    with ThreadPoolExecutor(8) as pool:
        masked = list(pool.map(lambda k: ask(k, slots), range(16)))
        free = list(pool.map(lambda k: ask(k, {}), range(16)))
    assert {token for text in masked for token in written(text)} <= {"<i1.title>", "<m2>", "<eos>"}
    assert max(text.count("<m2>") for text in masked) <= 1
    assert {token for text in free for token in written(text)} <= {*SLOTS, "<eos>"}
    assert any(written(text) for text in free)
