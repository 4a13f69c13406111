"""The slate decoder: only allowed items, each once, and the prior's own order under no model."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import SlateError
from catalog.trie import SlateMask
from tests.tiny_lm import tiny_folder
from tools.slate_decoder import BatchingSlates, InProcessSlates, SlateRequest
from tools.slate_forward import Prefixes
from tools.small_model import LoadedModel, load_small

N = 400


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_small(tiny_folder(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """400 items that share prefixes often: 6 x 8 x 64 possible codes."""
    rng = np.random.default_rng(3)
    keys = rng.choice(6 * 8 * 64, size=N, replace=False)
    return np.stack([keys // 512, keys // 64 % 8, keys % 64], axis=1)


@pytest.fixture(scope="module")
def engine(loaded: LoadedModel, codes: np.ndarray) -> InProcessSlates:
    return InProcessSlates(loaded, SlateMask(codes))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.sampled_from([1, 4]), st.sampled_from([0.0, 1.0]))
def test_only_allowed_items_and_each_once(
    engine: InProcessSlates, seed: int, beam: int, temperature: float
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(N) * (rng.random(N) < rng.choice([0.01, 0.1, 0.9]))
    weights[rng.integers(N)] = 1e-9
    result = engine.slate(
        [5, 6, 7], weights, 8, beam=1 if temperature else beam, temperature=temperature, seed=seed
    )
    assert len(result.rows) == min(8, int((weights > 0).sum()))
    assert len(set(result.rows)) == len(result.rows)
    assert all(weights[row] > 0 for row in result.rows)
    assert all(lp <= 1e-9 for lp in result.logprobs)


def test_without_the_model_the_prior_orders(loaded: LoadedModel, codes: np.ndarray) -> None:
    weights = np.random.default_rng(0).permutation(np.geomspace(1, 1e-4, N))
    silent = InProcessSlates(loaded, SlateMask(codes), lm_scale=0.0)
    rows = silent.slate([1, 2], weights, 20, beam=400).rows
    assert rows == np.argsort(-weights)[:20].tolist()


def test_log_probabilities_are_those_of_the_prior_without_the_model(
    loaded: LoadedModel, codes: np.ndarray
) -> None:
    weights = np.random.default_rng(1).random(N)
    result = InProcessSlates(loaded, SlateMask(codes), lm_scale=0.0).slate([1], weights, 3, beam=9)
    left = weights.sum()
    for row, logprob in zip(result.rows, result.logprobs, strict=True):
        assert logprob == pytest.approx(np.log(weights[row] / left))
        left -= weights[row]


def test_greedy_equals_a_fresh_forward_at_every_step(
    engine: InProcessSlates, loaded: LoadedModel, codes: np.ndarray
) -> None:
    """Known answer: redo a greedy slate without any cache, with sets instead of the trie."""
    weights = np.random.default_rng(2).random(N)
    prompt, left = [9, 8, 7, 6], set(range(N))
    result = engine.slate(list(prompt), weights, 4, beam=1)
    for row in result.rows:
        chosen: list[int] = []
        for level in range(3):
            with torch.inference_mode():
                logits = loaded.model(torch.tensor([prompt])).logits[0, -1].double().numpy()
            mass: dict[int, float] = {}
            for item in left:
                if codes[item, :level].tolist() == chosen:
                    code = int(codes[item, level])
                    mass[code] = mass.get(code, 0.0) + weights[item]
            base = loaded.sid_base + 256 * level
            best = max(mass, key=lambda c: logits[base + c] + np.log(mass[c]))
            chosen.append(best)
            prompt.append(base + best)
        assert codes[row].tolist() == chosen
        left.remove(row)


def test_beams_and_greedy_agree_on_the_log_probability_of_an_item(
    engine: InProcessSlates,
) -> None:
    weights = np.random.default_rng(4).random(N)
    only = np.zeros(N)
    greedy = engine.slate([3, 4], weights, 1, beam=1)
    wide = engine.slate([3, 4], weights, 1, beam=400)
    assert wide.logprobs[0] >= greedy.logprobs[0] - 1e-6
    only[greedy.rows[0]] = 1.0
    assert engine.slate([3, 4], only, 5, beam=3).logprobs == pytest.approx([0.0])


def test_sampling_repeats_with_its_seed_and_varies_without(engine: InProcessSlates) -> None:
    weights = np.ones(N)
    first, again, other = (
        engine.slate([2], weights, 5, beam=1, temperature=1.0, seed=seed).rows for seed in (1, 1, 2)
    )
    assert first == again != other


def test_nothing_allowed_fails_closed(engine: InProcessSlates) -> None:
    with pytest.raises(SlateError, match="relax"):
        engine.slate([1], np.zeros(N), 3)


def test_sampling_with_beams_is_refused(engine: InProcessSlates) -> None:
    with pytest.raises(SlateError, match="beam=6"):
        engine.slate([1], np.ones(N), 3, temperature=0.5)
    with pytest.raises(SlateError, match="prompt of 0 tokens"):
        engine.slate([], np.ones(N), 3)


def some_requests(count: int, seed: int) -> list[SlateRequest]:
    """Prompts, filters, lengths, priors and widths of all kinds."""
    rng = np.random.default_rng(seed)
    requests = []
    for k in range(count):
        weights = rng.random(N) * (rng.random(N) < rng.choice([0.02, 0.3, 1.0]))
        weights[rng.integers(N)] = 0.1
        prompt = rng.integers(1, 300, size=rng.integers(1, 30)).tolist()
        beam = int(rng.choice([1, 4]))
        temperature = float(rng.choice([0.0, 0.8])) if beam == 1 else 0.0
        alpha = float(rng.choice([0.0, 1.0, 2.0]))
        n = int(rng.integers(1, 5))
        requests.append(SlateRequest(prompt, weights, n, alpha, beam, temperature, seed + k))
    return requests


def alone(
    engine: InProcessSlates | BatchingSlates, r: SlateRequest
) -> tuple[list[int], list[float]]:
    result = engine.slate(
        r.prompt,
        r.weights,
        r.n,
        alpha=r.alpha,
        beam=r.beam,
        temperature=r.temperature,
        seed=r.seed,
    )
    return result.rows, result.logprobs


@pytest.mark.parametrize("seed", [0, 1])
def test_a_batch_is_what_each_request_alone_would_be(engine: InProcessSlates, seed: int) -> None:
    requests = some_requests(6, seed)
    together = engine.slates(requests)
    for request, result in zip(requests, together, strict=True):
        rows, logprobs = alone(engine, request)
        assert result.rows == rows
        assert result.logprobs == pytest.approx(logprobs, abs=1e-4)


def test_the_pass_over_prefixes_is_transformers_own(loaded: LoadedModel) -> None:
    """Padded prompts, then two branches that do not see each other, then one of them kept."""
    prompts = [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14, 15, 16]]

    def hidden(ids: list[int]) -> torch.Tensor:
        state: torch.Tensor = loaded.model.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return state

    with torch.inference_mode():
        cache = Prefixes(loaded, [4, 2, 6], room=8)
        states = cache.prompt(prompts)
        for k, prompt in enumerate(prompts):
            torch.testing.assert_close(states[k], hidden(prompt), atol=2e-4, rtol=1e-3)
        place = torch.arange(8)
        past = (place >= cache.start[:, None]) & (place < 6)
        seen = past[:, None].repeat(1, 2, 1)
        seen[:, 0, 6] = seen[:, 1, 7] = True
        at = torch.tensor([[4, 4], [2, 2], [6, 6]])
        states = cache.feed(torch.tensor([[20, 21]] * 3), at, seen)
        for k, prompt in enumerate(prompts):
            for branch in (0, 1):
                want = hidden([*prompt, 20 + branch])
                torch.testing.assert_close(states[k, branch], want, atol=2e-4, rtol=1e-3)
        cache.fold(6, torch.tensor([[7], [6], [7]]))
        cache.keep(torch.tensor([0, 2]))
        seen = (torch.arange(8) >= cache.start[:, None])[:, None]
        states = cache.feed(torch.tensor([[22], [22]]), torch.tensor([[5], [7]]), seen)
        for k, prompt in enumerate((prompts[0], prompts[2])):
            want = hidden([*prompt, 21, 22])
            torch.testing.assert_close(states[k, 0], want, atol=2e-4, rtol=1e-3)


def test_many_threads_share_passes_and_change_nothing(engine: InProcessSlates) -> None:
    requests = some_requests(12, 7)
    shared = BatchingSlates(engine, limit=4)
    found: dict[int, tuple[list[int], list[float]]] = {}

    def ask(k: int) -> None:
        found[k] = alone(shared, requests[k])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(shared.batches) == 12 and max(shared.batches) <= 4 and len(shared.batches) < 12
    for k, request in enumerate(requests):
        rows, logprobs = alone(engine, request)
        assert found[k][0] == rows
        assert found[k][1] == pytest.approx(logprobs, abs=1e-4)


def test_a_bad_request_fails_its_caller_only(engine: InProcessSlates) -> None:
    shared = BatchingSlates(engine)
    with pytest.raises(SlateError, match="relax"):
        shared.slate([1], np.zeros(N), 3)
    assert len(shared.slate([1], np.ones(N), 3).rows) == 3
    with pytest.raises(SlateError, match="relax"):
        engine.slates([SlateRequest([1], np.ones(N), 1), SlateRequest([1], np.zeros(N), 1)])


def test_an_error_of_the_model_reaches_every_caller(engine: InProcessSlates) -> None:
    shared = BatchingSlates(engine)
    for _ in range(2):  # and the next call is served, not left waiting
        with pytest.raises(IndexError):
            shared.slate([10**9], np.ones(N), 1)
    assert len(shared.slate([1], np.ones(N), 1).rows) == 1


@pytest.mark.parametrize("beam", [1, 4])
def test_twins_under_a_fourth_code_are_told_apart_by_the_prior(
    loaded: LoadedModel, beam: int
) -> None:
    """Two triples with three twins each: the model's share per triple, the prior's inside."""
    codes = np.array([[1, 2, 3, k] for k in range(3)] + [[1, 2, 4, k] for k in range(3)])
    engine = InProcessSlates(loaded, SlateMask(codes))
    weights = np.array([1.0, 4.0, 2.0, 3.0, 0.0, 1.0])
    result = engine.slate([5, 6], weights, 6, beam=beam)
    assert sorted(result.rows) == [0, 1, 2, 3, 5]
    inside = [row for row in result.rows if row < 3], [row for row in result.rows if row >= 3]
    assert inside == ([1, 2, 0], [3, 5])
    with pytest.raises(SlateError, match="5 levels"):
        InProcessSlates(loaded, SlateMask(np.zeros((1, 5), dtype=int)))
