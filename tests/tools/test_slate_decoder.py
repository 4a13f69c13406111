"""The slate decoder: only allowed items, each once, and the prior's own order under no model."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import SlateError
from catalog.trie import SlateMask
from tests.tiny_lm import tiny_folder
from tools.slate_decoder import InProcessSlates
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
