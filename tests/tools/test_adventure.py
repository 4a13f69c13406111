"""The dial: level 0 changes nothing, and each level up goes the way it says."""

from pathlib import Path

import numpy as np
import pytest

from agent import beliefs as critique
from agent.assemble import Assembly
from agent.settings import Settings
from agent.state import Beliefs, DialogueState, Turn
from tools.adventure import longer, loosened, spread, thinned
from tools.candidates import Prior
from tools.features import NAMES, REQUESTS

REQUESTED = (
    "a funny one please", "a scary film set in space", "a French romance", "recommend something",
    "an action film from the nineties", "a documentary about music", "something for the kids",
    "a war film, nothing before 2000", "a slow and quiet drama", "musicals please", "a western",
    "a heist movie", "something about robots", "animated films", "horror from the eighties",
    "a Japanese film", "a comedy with a heart", "a fantasy adventure", "science fiction please",
    "a biography", "mystery with a twist", "something romantic from the 2010s",
    "films about friendship", "a sad film about family", "something like The Matrix",
    "I loved Inception", "like Up but less sad", "a crime film", "something hopeful about grief",
    "a spy thriller",
)  # fmt: skip


def prior(weights: list[float]) -> Prior:
    """A prior over as many items, all but the last two of them candidates."""
    top = np.argsort(-np.array(weights[:-2]), kind="stable")
    empty = np.zeros((len(top), len(NAMES)), np.float32)
    other = np.zeros((len(top), len(REQUESTS)), np.float32)
    return Prior(np.array(weights), top, empty, other, np.zeros((0, 384), np.float32))


KNOWN = np.array([100.0, 10.0, 1.0, 0.0, 50.0, 0.0], dtype=np.float32)
PRIOR = prior([0.6, 0.2, 0.1, 0.05, 0.04, 0.01])


def test_level_zero_is_no_step_at_all() -> None:
    assert loosened(PRIOR, KNOWN, 0.0) is PRIOR
    assert thinned(PRIOR, np.eye(6, 384, dtype=np.float32), 2, 0.0) is PRIOR
    assert longer(5, 0.0) == 5
    assert spread([3, 1, 2], np.ones((6, 4), np.float32), 2, 0.0) == [3, 1]


def test_loosening_lifts_the_less_known_and_keeps_the_shares() -> None:
    out = loosened(PRIOR, KNOWN, 1.0)
    assert out.weights[:4].sum() == pytest.approx(0.95) and out.weights.sum() == pytest.approx(1)
    ratio = out.weights / PRIOR.weights
    assert ratio[3] > ratio[2] > ratio[1] > ratio[0] and ratio[5] > ratio[4]
    assert set(out.top.tolist()) == {0, 1, 2, 3}
    assert np.all(np.diff(out.weights[out.top]) <= 0)


def test_forbidden_items_stay_forbidden() -> None:
    some = prior([0.6, 0.4, 0.0, 0.0, 0.0, 0.0])
    assert np.flatnonzero(loosened(some, KNOWN, 1.0).weights).tolist() == [0, 1]


def test_spreading_prefers_the_unlike() -> None:
    vectors = np.zeros((4, 3), np.float32)
    vectors[[0, 1], 0] = 1  # 0 and 1 are the same, 2 and 3 are others
    vectors[2, 1] = vectors[3, 2] = 1
    assert spread([0, 1, 2, 3], vectors, 3, 1.0) == [0, 2, 3]
    assert spread([0, 1, 2, 3], vectors, 9, 1.0)[-1] == 1


def test_a_forbidden_candidate_is_never_brought_back_by_thinning() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(302, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = rng.random(302)
    weights[:50] = 0
    full = prior((weights / weights.sum()).tolist())
    full = full._replace(
        top=full.top[:200], features=full.features[:200], requests=full.requests[:200]
    )
    out = thinned(full, vectors, 5, 1.0)
    assert len(out.top) == 20 and np.all(out.weights[:50] == 0)
    assert out.weights[out.top].sum() == pytest.approx(full.weights[full.top].sum())


@pytest.mark.slow
def test_over_the_bundled_films_the_dial_goes_the_way_it_says(tmp_path: Path) -> None:
    parts = Assembly(Settings(home=tmp_path, threads=1)).parts()
    catalog = parts.catalog
    rank = np.empty(len(catalog))
    rank[np.argsort(-catalog.popularity, kind="stable")] = np.arange(len(catalog))
    ranks, distances = [], []
    for level in (0.0, 0.5, 1.0):
        r, d = [], []
        for text in REQUESTED:
            state = DialogueState(turns=[Turn(role="user", text=text)])
            update = parts.read(text, state)
            held = critique.apply(Beliefs(), update).model_copy(update={"adventure": level})
            turns = [state.turns[0].model_copy(update={"update": update})]
            chosen = parts.recommender.recommend(turns, held, 5, frozenset())
            rows = [catalog.row(i) for i in chosen.item_ids]
            alike = catalog.vectors[rows] @ catalog.vectors[rows].T
            r.append(rank[rows].mean())
            d.append(1 - (alike.sum() - len(rows)) / (len(rows) * (len(rows) - 1)))
        ranks.append(float(np.mean(r)))
        distances.append(float(np.mean(d)))
    print(f"mean popularity rank {ranks}, mean distance in the slate {distances}")
    assert ranks[0] < ranks[1] < ranks[2]
    assert distances[0] < distances[1] < distances[2]
