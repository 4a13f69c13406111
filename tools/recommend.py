"""Recommend: retrieval proposes, the language model writes the slate under the mask.

The semantic-ID generation tool in one function. ``Candidates`` gives every allowed item a
prior weight, the slate engine writes ``n`` items as code tokens, LM x prior; what is not
allowed has no weight and cannot be written. Without an engine the prior's own order is the
slate, which is the ablation every evaluation prints beside it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from catalog.items import Catalog
from tools.adventure import longer, loosened, spread, thinned
from tools.candidates import Candidates, Prior, Weights
from tools.features import Bitmap, Query, Ready, Store
from tools.slate_decoder import SlateEngine
from tools.slate_prompt import SlatePrompts, query_vectors
from tools.small_model import LoadedModel

LEVELS: Final = 3  # tokens that write one item


class Recommendation(NamedTuple):
    """``rows``: the slate in rank order. ``candidates``: the prior's best rows in its order.

    ``ordered_by``: "llm", or "retrieval" where no engine was given. ``prior``: see
    ``tools.candidates``; ``allowed_count``: items that might have been written.
    ``prompt_tokens``, ``tokens`` and ``seconds`` are the engine's, 0 without one.
    """

    rows: tuple[int, ...]
    candidates: tuple[int, ...]
    ordered_by: Literal["llm", "retrieval"]
    prior: Prior
    allowed_count: int
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


def recommend(
    query: Query,
    allowed: Bitmap,
    n: int,
    *,
    catalog: Catalog,
    candidates: Candidates,
    engine: SlateEngine | None,
    loaded: LoadedModel | None,
    store: Store | None = None,
    alpha: float = 1.0,
    beam: int = 6,
    ready: Ready | None = None,
    listed: Sequence[int] = (),
    boost: Weights | None = None,
    adventure: float = 0.0,
) -> Recommendation:
    """Recommend up to ``n`` items to a person, best first, from the allowed ones only.

    Use it when the person wants suggestions. ``query`` says what is known: the last turns,
    items liked, disliked and seen, "like X" anchors, free wishes, soft wishes. ``allowed``
    (one bool an item) holds the hard constraints, less what was shown or refused. Returns
    fewer items when fewer are allowed, none when none is. ``ready`` is for batch work.
    ``listed``: rows to take as the candidates, likeliest first, in place of retrieval's.
    ``boost``: ``(N,)`` factors on the prior, the shop's own. ``adventure``: 0 as usual, to 1
    far from the popular and from each other (``tools.adventure``).
    """
    count = int(np.count_nonzero(allowed))
    prior = candidates.weights(query, allowed, store=store, ready=ready)
    if listed:
        prior = prior.in_order(np.array([row for row in listed if allowed[row]], dtype=np.int64))
    if boost is not None:
        prior = prior.ranked(prior.weights * boost)
    prior = loosened(prior, catalog.popularity, adventure)
    prior = thinned(prior, catalog.vectors, n, adventure)
    ranked = tuple(int(row) for row in prior.top)
    length = longer(n, adventure)
    if engine is None or loaded is None or count == 0:
        rows = spread(ranked[:length], catalog.vectors, n, adventure)
        return Recommendation(tuple(rows), ranked, "retrieval", prior, count)
    prompt = slate_prompt(query, prior, catalog, candidates, loaded, ready)
    started = time.perf_counter()
    slate = engine.slate(prompt, prior.weights, length, alpha=alpha, beam=beam)
    seconds = time.perf_counter() - started
    tokens = LEVELS * len(slate.rows)
    rows = spread(slate.rows, catalog.vectors, n, adventure)
    return Recommendation(tuple(rows), ranked, "llm", prior, count, len(prompt), tokens, seconds)


def slate_prompt(
    query: Query,
    prior: Prior,
    catalog: Catalog,
    candidates: Candidates,
    loaded: LoadedModel,
    ready: Ready | None = None,
) -> list[int]:
    """The slate role's prompt for this query over this catalogue, as token ids."""
    prompts = SlatePrompts(loaded.tokenizer)
    features = candidates.features
    last = features.vector(query.text()) if ready is None else ready.vector
    vectors = query_vectors(last, features.taste(query), prior.about_vectors)
    text = prompts.text(query.delexicalised or query.turns)
    return prompts.prompt(text, query, vectors, prior.top, catalog.codes, catalog.codebooks)
