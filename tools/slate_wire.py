"""A slate request as it travels to a server: JSON in one ``vllm_xargs`` entry.

The server has its own copy of the catalogue, so a request says *which* items in words:
clauses and business rules as text, refused items as ids. Weights of a prior are many numbers
that are nearly all alike (a small share spread by popularity), so ``encode`` sends the few
that differ, exactly, and one scale for the rest. Both sides live here: what ``encode`` writes,
``Request.view`` turns back into the same weights. A person with curl writes it by hand::

    {"n": 5, "clauses": [{"field": "year", "op": "ge", "values": [2000]}],
     "exclude": ["Parasite (2019 film)"], "prior": {"items": {"Heat (1995 film)": 9}}}

Nothing here opens a mask: what clauses, rules or exclusions forbid stays forbidden, whatever
weight the request gives it, and a request that cannot be understood is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections import OrderedDict
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog
from catalog.rules import CompiledRules, Rules
from catalog.trie_filter import Filter
from tools.slate_view import View

SLATE, REPLY = "slate", "reply"  #: the entries of ``vllm_xargs`` that are ours
MOST: Final = 64 << 20  #: characters of a list of codes or weights
KEPT: Final = 32  #: compiled constraints kept, because the same come again turn after turn
UNKNOWN: Final = 0.2  #: popularity of what nobody has mentioned (tools.candidates)

Floats = npt.NDArray[np.float64]
Sent = TypeVar("Sent", bound=BaseModel)


class WireError(ParleyError):
    """A slate request that cannot be served; over HTTP this is a 400."""


class Limits(NamedTuple):
    """What narrows the catalogue, in words, for a server that has the catalogue too.

    ``rules``: the lists of a rules file (``catalog.rules``) as a mapping; their ``boost`` and
    ``bury`` are taken as factors on the spread share. ``fade``: the spread share is divided by
    ``(1 + popularity) ** fade`` (``tools.adventure``).
    """

    clauses: tuple[Clause, ...] = ()
    rules: dict[str, Any] | None = None
    fade: float = 0.0


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Prior(Frozen):
    """Weights of the items. ``alpha``: their strength; ``strength``: the model's, against them.
    ``scale``: of the share that is spread by popularity. ``codes`` (semantic IDs as uint32,
    ``SlateMask.keys``) and ``weights`` (float64), base64: items with a weight of their own;
    ``items``: the same by id."""

    alpha: float = Field(default=1.0, ge=0, le=10)
    strength: float = Field(default=1.0, ge=0, le=10)
    scale: float = Field(default=1.0, ge=0)
    fade: float = Field(default=0.0, ge=0, le=1)
    codes: str = ""
    weights: str = ""
    items: dict[str, float] = Field(default_factory=dict)


class Request(Frozen):
    """One slate request. ``catalog``: fingerprint of the catalogue it was made over."""

    n: int = Field(default=10, ge=1, le=100)
    catalog: str = ""
    clauses: tuple[Clause, ...] = ()
    rules: dict[str, Any] | None = None
    exclude: tuple[str, ...] = ()
    closed: str = ""  # codes of items that are off besides, uint32, base64
    prior: Prior | None = None

    @classmethod
    def read(cls, text: object) -> Request:
        """Parse the JSON text. ``WireError`` names the entry that is wrong."""
        return parsed(cls, text, SLATE)


class Reply(Frozen):
    """Which slots a reply may write (None: every slot there is), and which of them once."""

    slots: tuple[str, ...] | None = None
    once: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: object) -> Reply:
        """Parse the JSON text. ``WireError`` names the entry that is wrong."""
        return parsed(cls, text, REPLY)


def parsed(kind: type[Sent], text: object, name: str) -> Sent:
    """``text`` as a ``kind``. ``WireError`` names the entry, the value and what is needed."""
    if not isinstance(text, str):
        raise WireError(f"vllm_xargs.{name} is {text!r}: JSON text is needed.")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise WireError(f"vllm_xargs.{where}: {first['msg']}, got {first['input']!r:.200}.") from (
            error
        )


class Compiler:
    """Requests to views over one catalogue; what they share is compiled once. Thread-safe.

    ``rules``: the shop's own, which hold in every request, whatever it says.
    """

    def __init__(self, catalog: Catalog, rules: CompiledRules | None = None) -> None:
        self.catalog = catalog
        self.rules = rules
        self._bases: OrderedDict[str, Filter] = OrderedDict()
        self._lock = threading.Lock()

    def base(self, limits: Limits) -> Filter:
        """The spread share under these limits. ``ParleyError`` when they do not fit."""
        words = [(c.field, c.op, c.values) for c in limits.clauses]
        key = json.dumps([words, limits.rules, limits.fade])
        with self._lock:
            if key in self._bases:
                self._bases.move_to_end(key)
                return self._bases[key]
        made = self.catalog.mask.filter(spread_share(self.catalog, limits, self.rules))
        with self._lock:
            self._bases[key] = made
            if len(self._bases) > KEPT:
                self._bases.popitem(last=False)
        return made

    def view(self, request: Request) -> View:
        """What the request may write, with its weights.

        Raises:
            ParleyError: an unknown field, value, id or row, or nothing is allowed.
        """
        catalog, prior = self.catalog, request.prior or Prior()
        limits = Limits(request.clauses, request.rules, prior.fade)
        base = self.base(limits)
        off = [catalog.row(item) for item in request.exclude if catalog.has(item)]
        off += rows_of(catalog, codes_in(request.closed)).tolist()
        rows, own = self._own(prior)
        if prior.scale == 0 and not len(rows):
            raise WireError("prior.scale is 0 and no item has a weight: nothing could be written.")
        view = View(
            catalog.mask, base, prior.scale, prior.alpha, rows, own, np.array(off, np.int64)
        )
        if view.left == 0:
            raise WireError("no item is allowed: relax a clause or a rule, or exclude fewer items.")
        return view

    def _own(self, prior: Prior) -> tuple[npt.NDArray[np.int64], Floats]:
        """Rows that have a weight of their own, and these weights."""
        rows = rows_of(self.catalog, codes_in(prior.codes))
        weights = numbers(prior.weights, "<f8").astype(np.float64)
        if len(rows) != len(weights):
            raise WireError(f"prior: {len(rows)} codes and {len(weights)} weights.")
        held = {i: w for i, w in prior.items.items() if self.catalog.has(i)}
        rows = np.concatenate([rows, [self.catalog.row(i) for i in held]]).astype(np.int64)
        weights = np.concatenate([weights, list(held.values())])
        if not np.isfinite(weights).all() or (len(weights) and weights.min() < 0):
            raise WireError("prior: weights must be finite and not negative: 0 forbids an item.")
        return rows, weights


def spread_share(catalog: Catalog, limits: Limits, shop: CompiledRules | None = None) -> Floats:
    """What each item has of the share spread by popularity; 0 where limits forbid. ``(N,)``."""
    known: Floats = catalog.popularity.astype(np.float64)
    share: Floats = (catalog.popularity + np.float32(UNKNOWN)).astype(np.float64)
    if limits.fade:
        share *= (1.0 + np.maximum(known, 0.0)) ** -limits.fade
    share[~compile(catalog, limits.clauses)] = 0.0
    asked = Rules.of(limits.rules, "rules").compile(catalog) if limits.rules else None
    if asked is not None:
        share *= asked.boost
    for rules in (shop, asked):
        if rules is not None:
            share[~rules.allowed] = 0.0
    return share


def encode(
    weights: Floats,
    n: int,
    alpha: float,
    compiler: Compiler,
    limits: Limits | None = None,
    strength: float = 1.0,
) -> str:
    """The JSON text that gives a server exactly these weights.

    ``weights``: ``(N,)``, 0 = forbidden. ``limits``: words that account for most of what is
    forbidden; rows beyond them are sent as they are. Limits that would forbid an allowed item
    are left out.
    """
    limits = limits or Limits()
    base = compiler.base(limits).values
    open_ = weights > 0
    if (base[open_] <= 0).any():
        limits = Limits()
        base = compiler.base(limits).values
    body: dict[str, Any] = {"n": n, "catalog": compiler.catalog.fingerprint}
    if limits.clauses:
        body["clauses"] = [c.model_dump(include={"field", "op", "values"}) for c in limits.clauses]
    if limits.rules:
        body["rules"] = limits.rules
    rows = np.flatnonzero(open_)
    ratio = weights[rows] / base[rows]
    scale = float(np.median(ratio)) if len(rows) else 0.0
    own = rows[~np.isclose(ratio, scale, rtol=1e-9, atol=0)]
    closed = np.flatnonzero((base > 0) & ~open_)
    if len(own) + len(closed) >= len(rows):  # shorter to name every open item
        scale, own, closed = 0.0, rows, closed[:0]
    codes = codes_of(compiler.catalog, own)
    body["closed"] = packed(codes_of(compiler.catalog, closed).astype("<u4").tobytes())
    body["prior"] = {
        "alpha": alpha,
        "strength": strength,
        "fade": limits.fade,
        "scale": scale,
        "codes": packed(codes.astype("<u4").tobytes()),
        "weights": packed(weights[own].astype("<f8").tobytes()),
    }
    return json.dumps(body)


def codes_of(catalog: Catalog, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Semantic IDs of rows as integers: what an item is called by, whatever its row is there."""
    places = catalog.mask.positions(rows)
    keys: npt.NDArray[np.uint32] = catalog.mask.keys[places].astype(np.uint32)
    return keys


def rows_of(catalog: Catalog, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """The other way round. ``WireError`` names the first code that no item has."""
    mask = catalog.mask
    places = mask.keys.searchsorted(codes.astype(mask.keys.dtype))
    known = mask.keys[np.minimum(places, len(mask) - 1)] == codes
    if not known.all():
        bad = int(codes[~known][0])
        raise WireError(f"no item has the semantic ID {bad:#x}: is the catalogue another one?")
    rows: npt.NDArray[np.int64] = mask.order[places].astype(np.int64)
    return rows


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"{text[:40]!r} is not base64 ({error}).") from error


def numbers(text: str, kind: str) -> npt.NDArray[Any]:
    if len(text) > MOST:
        raise WireError(f"{len(text)} characters of base64: {MOST} is the limit.")
    data = unpacked(text)
    if len(data) % np.dtype(kind).itemsize:
        raise WireError(f"{len(data)} bytes are no whole number of {kind}.")
    return np.frombuffer(data, kind)


def codes_in(text: str) -> npt.NDArray[np.uint32]:
    return numbers(text, "<u4").astype(np.uint32)
