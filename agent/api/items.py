"""The catalogue over REST: search, one item, items like it, several compared, its facets.

``filter`` is a clause as the dialogue manager has them, written ``field:op:value`` with ``|``
between values: ``genres:any:Comedy|Drama``, ``year:ge:1990``. The owner's rules hold here too:
what may not be recommended is not found, though it can be looked up by its id.
"""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from agent.agent import Agent
from agent.api.errors import ApiError, responses
from agent.api.views import Hit, ItemView, hit, item_view
from catalog.filters import Clause, compile
from catalog.items import Catalog, Facet
from tools.details import compare
from tools.search import search

OPS = ("any", "all", "none", "ge", "le")
MOST_VALUES = 50  # of a facet, listed
ItemId = Annotated[str, Path(max_length=500, description="an item's id")]
Limit = Annotated[int, Query(ge=1, le=100, description="at most this many")]
Filters = Annotated[
    list[str] | None,
    Query(max_length=20, alias="filter", description="field:op:value, any | all | none | ge | le"),
]


class Found(BaseModel):
    """Items, best first."""

    items: list[Hit]


class Difference(BaseModel):
    """A facet in which the items differ, and each one's value; null where it is unknown."""

    field: str
    label: str
    values: list[Any]


class Compared(BaseModel):
    """Items side by side."""

    items: list[ItemView]
    differences: list[Difference]


class FacetView(BaseModel):
    """What can be filtered by. ``values``: the commonest, for categories."""

    name: str
    kind: str
    label: str
    unit: str | None = None
    ops: list[str] = []
    values: list[str] = []
    least: float | None = None
    most: float | None = None


class CatalogView(BaseModel):
    """What the catalogue is of."""

    name: str
    noun: str
    items: int
    fingerprint: str
    facets: list[FacetView]
    scales: list[str] = Field(description="what more or less of can be wished for")


def clause(text: str, catalog: Catalog) -> Clause:
    """``year:ge:1990`` as a clause. ``ApiError`` if it is not written so."""
    field, _, rest = text.partition(":")
    op, parted, told = rest.partition(":")
    if not parted or op not in OPS:
        raise ApiError(
            f"{text[:80]!r} is no filter: write field:op:value with one of {', '.join(OPS)}, "
            "as in year:ge:1990.",
            param="filter",
        )
    names = [f.name for f in catalog.domain.facets if f.filterable]
    if field not in names:
        raise ApiError(f"No facet {field[:80]!r}: filter by {', '.join(names)}.", param="filter")
    values: list[str | float] = [v.strip() for v in told.split("|")]
    if catalog.facet(field).kind == "number":
        try:
            values = [float(v) for v in values]
        except ValueError:
            raise ApiError(f"{told[:80]!r} is no number for {field!r}.", param="filter") from None
    made: Clause = Clause.model_validate({"field": field, "op": op, "values": values})
    return made


def found(
    agent: Agent, text: str, clauses: list[Clause], limit: int, exclude: tuple[str, ...] = ()
) -> list[Hit]:
    """Items by meaning, or without a text by popularity; only what may be recommended."""
    parts = agent.parts
    catalog, recommender = parts.catalog, parts.recommender
    shut = {catalog.ids[row] for row in recommender.forbidden()}
    if text.strip():
        hits = search(
            text,
            catalog=catalog,
            store=recommender.store,
            embedder=recommender.embedder,
            clauses=clauses,
            exclude=[*shut, *exclude],
            k=limit,
        )
        return [hit(catalog.item(h.item_id), h.score) for h in hits]
    allowed = compile(catalog, clauses)
    allowed[recommender.forbidden()] = False
    order = np.argsort(-catalog.popularity, kind="stable")
    rows = [int(r) for r in order if allowed[r] and catalog.ids[int(r)] not in exclude][:limit]
    return [hit(catalog.item(r), float(catalog.popularity[r])) for r in rows]


def similar(agent: Agent, item_id: str, limit: int) -> list[Hit]:
    """Items whose content is nearest to one item's. ``CatalogError`` for an unknown id."""
    parts = agent.parts
    catalog = parts.catalog
    row = catalog.row(item_id)
    allowed = compile(catalog, ())
    allowed[[row, *parts.recommender.forbidden()]] = False
    rows, scores = parts.recommender.store.query(catalog.vectors[row], limit, allowed)
    return [hit(catalog.item(int(r)), float(s)) for r, s in zip(rows, scores, strict=True)]


def side_by_side(agent: Agent, ids: list[str]) -> Compared:
    catalog = agent.catalog
    differing = compare(catalog, ids)
    return Compared(
        items=[item_view(catalog.item(i)) for i in ids],
        differences=[
            Difference(field=f.name, label=f.label, values=values) for f, values in differing
        ],
    )


def facet_view(facet: Facet, catalog: Catalog) -> FacetView:
    made = FacetView(name=facet.name, kind=facet.kind, label=facet.label, unit=facet.unit)
    if not facet.filterable or facet.kind in ("text", "link"):
        return made
    if facet.kind == "number":
        column = catalog.df[facet.name].drop_nulls()
        made.ops = ["any", "none", "ge", "le"]
        if len(column):
            numbers = column.to_numpy()
            made.least, made.most = float(numbers.min()), float(numbers.max())
        return made
    made.ops = ["any", "all", "none"]
    if facet.kind == "categories":
        made.values = [str(v) for v in list(catalog.values(facet.name))[:MOST_VALUES]]
    return made


def routes(agent: Agent) -> APIRouter:
    """The addresses about items under ``/api/v1``."""
    router = APIRouter(prefix="/api/v1", tags=["items"])

    @router.get("/catalog", response_model=CatalogView, responses=responses())
    def about() -> Any:
        """What the catalogue is of, and what can be filtered by."""
        catalog = agent.catalog
        return CatalogView(
            name=catalog.domain.name,
            noun=catalog.domain.noun_one,
            items=catalog.count,
            fingerprint=catalog.fingerprint,
            facets=[facet_view(f, catalog) for f in catalog.domain.facets],
            scales=[s.name for s in catalog.domain.scales],
        )

    @router.get("/items", response_model=Found, responses=responses())
    def items(
        q: Annotated[str, Query(max_length=1000, description="what it is about, in words")] = "",
        filters: Filters = None,
        limit: Limit = 20,
    ) -> Any:
        """Items by meaning among those that pass every filter; without `q` the best known."""
        clauses = [clause(text, agent.catalog) for text in filters or ()]
        return Found(items=found(agent, q, clauses, limit))

    @router.get("/compare", response_model=Compared, responses=responses(404))
    def compared(
        item: Annotated[
            list[Annotated[str, Query(max_length=500)]], Query(min_length=2, max_length=8)
        ],
    ) -> Any:
        """Two to eight items side by side: the facets in which they differ."""
        return side_by_side(agent, item)

    @router.get("/items/{item_id:path}/similar", response_model=Found, responses=responses(404))
    def like(item_id: ItemId, limit: Limit = 10) -> Any:
        """Items whose content is nearest to this one's."""
        return Found(items=similar(agent, item_id, limit))

    @router.get("/items/{item_id:path}", response_model=ItemView, responses=responses(404))
    def one(item_id: ItemId) -> Any:
        """All that the catalogue knows of one item."""
        return item_view(agent.catalog.item(item_id))

    return router
