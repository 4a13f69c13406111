"""The slate tool over a real (tiny, random) model: what is forbidden is never written."""

import numpy as np
import pytest

from catalog.trie import SlateMask
from tests.tiny_lm import tiny_folder
from tests.tools.test_candidates import N, checkerboard, plain_ranker
from tools.candidates import Candidates
from tools.features import Dialogues, Query
from tools.recommend import recommend, slate_prompt
from tools.search import search
from tools.slate_decoder import InProcessSlates
from tools.slate_prompt import TEXT_TOKENS, SlatePrompts, query_vectors
from tools.small_model import LoadedModel, load_small
from tools.tokens import AGENT, CANDIDATES, LIKED, OUT, QUERY, USER


class Flat:
    """A dense index over the plain product, and an encoder that knows one text."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([self.vectors[7] for _ in texts])

    def query(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = self.vectors @ vector
        rows = np.flatnonzero(allowed) if allowed is not None else np.arange(len(scores))
        rows = rows[np.argsort(-scores[rows])][:k]
        return rows, scores[rows]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_small(tiny_folder(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    catalog = checkerboard()
    ranker = plain_ranker(co_sum=3.0, popularity=0.2)
    return Candidates(catalog, Flat(catalog.vectors), Dialogues.none(N), ranker)


def test_slates_hold_only_allowed_items_once(loaded: LoadedModel, candidates: Candidates) -> None:
    catalog = candidates.catalog
    engine = InProcessSlates(loaded, SlateMask(catalog.codes))
    rng = np.random.default_rng(0)
    for count in (1, 3, 12, N):
        allowed = np.zeros(N, dtype=np.bool_)
        allowed[rng.permutation(N)[:count]] = True
        query = Query(turns=(("user", "something <m1>-like"),), liked=(4,), about=("a lamp",))
        result = recommend(
            query,
            allowed,
            5,
            catalog=catalog,
            candidates=candidates,
            engine=engine,
            loaded=loaded,
            store=Flat(catalog.vectors),
            beam=2,
        )
        assert len(result.rows) == len(set(result.rows)) == min(5, count)
        assert allowed[list(result.rows)].all()
        assert result.ordered_by == "llm" and result.allowed_count == count


def test_without_an_engine_the_prior_orders(candidates: Candidates) -> None:
    result = recommend(
        Query(liked=(4,)),
        np.ones(N, dtype=np.bool_),
        5,
        catalog=candidates.catalog,
        candidates=candidates,
        engine=None,
        loaded=None,
    )
    assert result.ordered_by == "retrieval" and result.rows == result.candidates[:5]
    nothing = np.zeros(N, dtype=np.bool_)
    empty = recommend(
        Query(), nothing, 5, catalog=candidates.catalog, candidates=candidates, engine=None,
        loaded=None,
    )  # fmt: skip
    assert empty.rows == () and empty.allowed_count == 0


def test_the_prompt_says_what_is_known(loaded: LoadedModel, candidates: Candidates) -> None:
    query = Query(
        turns=(("agent", "Hello."), ("user", "I like Thing 4.")),
        delexicalised=(("agent", "Hello."), ("user", "I like <m1>. <out> <a_3>")),
        liked=(4,),
    )
    prior = candidates.weights(query)
    ids = slate_prompt(query, prior, candidates.catalog, candidates, loaded)
    words = loaded.tokenizer.convert_ids_to_tokens(ids)
    assert words.index(AGENT) < words.index(USER) < words.index("<m1>") < words.index(QUERY)
    liked = words.index(LIKED)
    assert words[liked + 1 : liked + 4] == ["<a_1>", "<b_0>", "<c_4>"]
    assert words[-1] == OUT and words.count(OUT) == 1  # what is written cannot forge the prompt
    assert len(words) - words.index(CANDIDATES) == 2 + 3 * 10


def test_long_turns_keep_the_newest_words(loaded: LoadedModel) -> None:
    prompts = SlatePrompts(loaded.tokenizer)
    ids = prompts.text((("user", "old " * 200), ("agent", "new " * 10)))
    assert len(ids) <= TEXT_TOKENS
    words = loaded.tokenizer.decode(ids)
    assert words.count("new") == 10 and "old" in words


def test_query_vectors_leave_zeros_out() -> None:
    one = np.eye(1, 384, dtype=np.float32)[0]
    zero = np.zeros(384, np.float32)
    none = np.zeros((0, 384), np.float32)
    assert query_vectors(zero, zero, none).shape == (0, 384)
    assert query_vectors(one, zero, none).shape == (1, 384)
    assert query_vectors(zero, 5 * one, one[None]).shape == (2, 384)


def test_search_filters_and_excludes() -> None:
    catalog = checkerboard()
    flat = Flat(catalog.vectors)
    hits = search("x", catalog=catalog, store=flat, embedder=flat, exclude=("i7",), k=3)
    assert len(hits) == 3 and "i7" not in [hit.item_id for hit in hits]
    assert search("x", catalog=catalog, store=flat, embedder=flat, k=3)[0].item_id == "i7"
    assert search("  ", catalog=catalog, store=flat, embedder=flat) == []
