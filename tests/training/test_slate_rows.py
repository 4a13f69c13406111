"""Slate rows: the prior beside every target is the mask's own, and the ranker learns."""

from pathlib import Path

import numpy as np
import pytest

from catalog.items import Catalog
from catalog.trie import SlateMask
from tests.tiny_lm import tiny_tokenizer
from tests.tools.test_candidates import N, checkerboard, plain_ranker
from tools.candidates import Candidates
from tools.features import NAMES, Dialogues, Query
from tools.slate_prompt import SlatePrompts
from training.make_slate_rows import Book, Maker, Sample, log_masses, tastes
from training.ranker import Lists, fit, held_out, recall
from training.requests import requests
from training.slate_rows import SlateRows

MOVIES = Path(__file__).parents[2] / "catalog" / "data" / "movies"


def test_log_masses_are_the_masks_children() -> None:
    """Brute force against the structure that serves: same children, same shares."""
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 5, size=(80, 3)), axis=0).astype(np.uint8)
    book = Book.of(np.zeros((3, 256, 4), np.float32), codes)
    mask = SlateMask(codes)
    for _ in range(30):
        weights = rng.random(len(codes)) * (rng.random(len(codes)) < 0.7)
        open_rows = np.flatnonzero(weights)
        row, *gone = (int(r) for r in rng.permutation(open_rows)[:4])
        masses = log_masses(weights, gone, row, book)
        view = mask.narrow(weights)
        for shown in gone:
            view.emit(shown)
        total = weights.sum() - weights[gone].sum()
        for level in range(3):
            lo, hi = mask.node(codes[row, :level].tolist())
            kids = view.children(level, lo, hi)
            assert set(np.flatnonzero(np.isfinite(masses[level]))) == set(kids.tokens.tolist())
            expected = np.log(kids.weights / total)
            np.testing.assert_allclose(masses[level][kids.tokens], expected, atol=1e-4)
        assert np.isfinite(masses[np.arange(3), codes[row]]).all()


@pytest.fixture(scope="module")
def board() -> Candidates:
    return Candidates(
        checkerboard(), None, Dialogues.none(N), plain_ranker(co_sum=3.0, popularity=0.2)
    )


def test_rows_teach_the_target_after_wrong_items(board: Candidates) -> None:
    catalog = board.catalog
    book = Book.of(catalog.codebooks, catalog.codes)
    maker = Maker(SlatePrompts(tiny_tokenizer()), [book, book], seed=0)
    query = Query(delexicalised=(("user", "I like <m1>."),), liked=(4,))
    may = np.ones(N, dtype=np.bool_)
    may[4] = False
    vector = np.zeros(384, np.float32)
    sample = Sample("turns", query, vector, board.weights(query, may), (6, 9), False)
    rows = [maker.row(sample, board.features.taste(query)) for _ in range(40)]
    packed = SlateRows.pack(rows)  # checks that every target has prior mass
    assert len(packed) == 40
    answers = {tuple(catalog.codes[r]) for r in (6, 9)}
    lengths = set()
    for row in rows:
        assert {tuple(t) for t in row.targets} == answers
        shown = {tuple(s) for s in row.shown}
        assert not shown & answers and tuple(catalog.codes[4]) not in shown
        lengths.add(len(row.shown))
    assert 0 in lengths and max(lengths) > 3
    plain = maker.row(sample, board.features.taste(query), plain=True)
    assert len(plain.shown) == 0 and plain.codebook == 0


def test_tastes_draw_allowed_targets(board: Candidates) -> None:
    for sample in tastes(board, 10, np.random.default_rng(0)):
        assert sample.targets and not set(sample.targets) & set(sample.query.liked)


def test_requests_are_answered_by_their_targets() -> None:
    catalog = Catalog.open(MOVIES)
    made = requests(catalog, 40, np.random.default_rng(3))
    assert len(made) == 40
    for request in made:
        assert request.about in request.said and request.targets
        assert request.query().about == (request.about,)


def test_the_ranker_learns_what_tells(tmp_path: Path) -> None:
    """One column says the answer, the rest is noise; the learnt order finds it."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30, len(NAMES))).astype(np.float32)
    hits = np.zeros((200, 30), np.float32)
    hits[np.arange(200), rng.integers(0, 30, 200)] = 1
    features[..., 3] += 3 * hits
    data = Lists(features, hits, np.zeros(200, dtype=np.bool_))
    ranker = fit(data, seeds=1)
    assert recall(ranker, data, 1) > 0.7
    ranker.save(tmp_path / "ranker.npz")
    loaded = type(ranker).load(tmp_path / "ranker.npz")
    np.testing.assert_allclose(loaded.scores(features[0]), ranker.scores(features[0]), atol=1e-5)


def test_held_out_conversations_are_a_fixed_tenth() -> None:
    held = [held_out(str(k)) for k in range(5000)]
    assert 0.08 < np.mean(held) < 0.12
    assert held_out("20001") == held_out("20001")
