"""A slate request on the wire: the weights that arrive are the weights that were sent."""

import json
from typing import Any

import numpy as np
import pytest

from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.rules import Rules
from catalog.trie import SlateMask
from tests.agent.lamps import lamps
from tools.slate_view import View, Walk
from tools.slate_wire import Compiler, Limits, Reply, Request, WireError, encode

CATALOG = lamps()
BASE = 1000  # the id of the first code
NONE = np.zeros(0, np.int64)


def plain(mask: SlateMask, weights: np.ndarray) -> View:
    """The view of these weights and nothing else."""
    return View(mask, mask.filter(weights), 1.0, 1.0, NONE, np.zeros(0), NONE)


def weights_of(view: View) -> np.ndarray:
    """What the view gives each row, by walking to it. Shape: (N,)."""
    mask = view.mask
    out = np.zeros(len(mask))
    for place, row in enumerate(mask.order):
        codes = [int(mask.keys[place]) >> 8 * k & 255 for k in reversed(range(mask.levels))]
        walk = Walk(view, 1, BASE)
        for level in range(mask.levels - 1):
            walk.read([BASE + 256 * k + c for k, c in enumerate(codes[: level + 1])])
        found = walk.open()
        if walk.level == mask.levels - 1 and found is not None:
            out[row] = dict(zip(found[0].tolist(), found[1].tolist(), strict=True))[codes[-1]]
    return out


def drawn(seed: int) -> tuple[np.ndarray, Limits]:
    """A prior as the agent makes it: the best few, the rest by popularity, some forbidden."""
    rng = np.random.default_rng(seed)
    price = Clause(field="price", op="le", values=(float(rng.integers(40, 200)),))
    limits = Limits((price,) if seed % 2 else ())
    allowed = compile(CATALOG, limits.clauses)
    allowed[rng.choice(len(CATALOG), 2)] = False
    share = np.where(allowed, CATALOG.popularity + np.float32(0.2), 0.0).astype(np.float64)
    weights = 0.01 * share
    best = rng.choice(len(CATALOG), 3)
    weights[best] = np.where(allowed[best], rng.random(3), 0.0)
    return weights, limits


@pytest.mark.parametrize("seed", range(8))
def test_a_prior_arrives_as_it_was_sent(seed: int) -> None:
    weights, limits = drawn(seed)
    if not (weights > 0).any():
        pytest.skip("this draw forbids everything")
    text = encode(weights, 3, 2.0, Compiler(CATALOG), limits)
    request = Request.read(text)
    view = Compiler(CATALOG).view(request)
    assert (request.n, view.alpha) == (3, 2.0)
    assert view.left == int((weights > 0).sum())
    np.testing.assert_allclose(weights_of(view), weights, rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_walk_opens_what_the_mask_opens(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = SlateMask(np.unique(rng.integers(0, 5, (60, 3)), axis=0))
    weights = np.where(rng.random(len(mask)) < 0.6, rng.random(len(mask)), 0.0)
    walk, view, written = Walk(plain(mask, weights), 8, BASE), mask.narrow(weights), []
    for _ in range(min(8, view.left)):
        low, high = 0, len(mask)
        for level in range(3):
            wanted, found = view.children(level, low, high), walk.open()
            assert found is not None
            open_ = found[1] > 0
            assert found[0][open_].tolist() == wanted.tokens.tolist()
            np.testing.assert_allclose(found[1][open_], wanted.weights, rtol=1e-9)
            pick = int(rng.integers(len(wanted.tokens)))
            low, high = int(wanted.los[pick]), int(wanted.his[pick])
            written.append(BASE + 256 * level + int(wanted.tokens[pick]))
            walk.read(written)
        view.emit(int(mask.order[low]))
    assert walk.full and walk.open() is None and not walk.lost
    assert len(set(walk.rows)) == len(walk.rows) and (weights[walk.rows] > 0).all()
    again = Walk(plain(mask, weights), 8, BASE, head=written[:4])  # preempted, or a beam's past
    again.read(written[4:])
    assert again.rows == walk.rows


def test_what_is_forbidden_stays_so_whatever_weight_it_is_given() -> None:
    cheap = {"field": "price", "op": "le", "values": [60]}
    dear = int(np.flatnonzero(~compile(CATALOG, [Clause.model_validate(cheap)]))[0])
    sent = {"clauses": [cheap], "prior": {"items": {CATALOG.ids[dear]: 1e9}}}
    view = Compiler(CATALOG).view(Request.read(json.dumps(sent)))
    assert weights_of(view)[dear] == 0
    walk = Walk(view, 3, BASE)
    walk.read([BASE + 256 * level + int(c) for level, c in enumerate(CATALOG.codes[dear])])
    assert walk.lost and walk.open() is None
    first = CATALOG.ids[0]
    shop = Rules.of({"require": [{"field": "price", "le": 60}]}, "rules").compile(CATALOG)
    ruled = Compiler(CATALOG, shop).view(Request.read(json.dumps({"exclude": [first]})))
    assert weights_of(ruled)[dear] == 0 and weights_of(ruled)[0] == 0


def test_rules_and_the_dial_travel_in_words() -> None:
    rules = {"boost": [{"field": "price", "le": 60, "by": 3}]}
    limits = Limits((), rules, 0.25)
    compiler = Compiler(CATALOG)
    weights = compiler.base(limits).values * 0.5
    text = encode(weights, 4, 1.0, compiler, limits)
    assert json.loads(text)["prior"]["codes"] == ""  # nothing had to be sent one by one
    view = compiler.view(Request.read(text))
    np.testing.assert_allclose(weights_of(view), weights, rtol=1e-9)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("nonsense", "slate"),
        ({"n": 101}, "slate.n"),
        ({"clauses": [{"field": "smell", "op": "any", "values": ["rose"]}]}, "smell"),
        ({"rules": {"require": [{"field": "price"}]}}, "price|needed"),
        ({"prior": {"codes": "AAAA", "weights": ""}}, "bytes"),
        ({"prior": {"codes": "/////w==", "weights": "AAAAAAAA8D8="}}, "semantic ID"),
        ({"prior": {"items": {CATALOG.ids[0]: -1}}}, "not negative"),
        ({"prior": {"scale": 0}}, "nothing could be written"),
        ({"clauses": [{"field": "price", "op": "le", "values": [0]}]}, "no item is allowed"),
        ({"unmask": True}, "unmask"),
    ],
)
def test_what_cannot_be_served_says_why(sent: Any, said: str) -> None:
    text = sent if isinstance(sent, str) else json.dumps(sent)
    with pytest.raises(ParleyError, match=said):
        Compiler(CATALOG).view(Request.read(text))


def test_a_reply_request_is_read_strictly() -> None:
    assert Reply.read('{"slots": ["<i1.title>"]}').slots == ("<i1.title>",)
    with pytest.raises(WireError, match="JSON text"):
        Reply.read(7)
    with pytest.raises(WireError, match=r"reply\.slot"):
        Reply.read('{"slot": []}')
