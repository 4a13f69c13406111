"""Hard constraints: clauses on facets, compiled to one bitmap over the catalogue.

The bitmap is the single currency of hard constraints: vector search, the slate
mask and the "nothing is left" explanation all take it, so a constraint cannot hold
in one place and leak in another. Clauses become polars expressions, one pass over
the columns, about a millisecond for twenty thousand items.

A missing value satisfies nothing positive: it fails ``ge``, ``le``, ``any`` and
``all``, and passes ``none`` (we cannot say that the item has what was excluded).
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from catalog.errors import FilterError

if TYPE_CHECKING:
    from catalog.items import Catalog, Facet

Op = Literal["any", "all", "none", "ge", "le"]
Scope = Literal["now", "always"]  # this conversation, or whenever this person comes
Bitmap = npt.NDArray[np.bool_]

#: Which operators make sense for which kind of facet.
OPERATORS: dict[str, tuple[str, ...]] = {
    "number": ("ge", "le", "any", "none"),
    "categories": ("any", "all", "none"),
    "people": ("any", "all", "none"),
}
#: Above this many clauses the search for relaxations looks at single clauses and pairs only.
MANY_CLAUSES = 10


class Clause(BaseModel):
    """One hard constraint on one facet, with the words that said it.

    ``any``: at least one of ``values``; ``all``: every one of them; ``none``: not one
    of them; ``ge``/``le``: one number, inclusive. An exact number is ``ge`` and ``le``
    together; "either A or B" is ``any`` with two values.
    """

    model_config = ConfigDict(frozen=True)

    field: str  #: facet name, e.g. "year", "genres", "directors"
    op: Op
    values: tuple[float | str, ...]  #: canonical catalogue values
    said: str = ""  #: the person's words (provenance)
    turn: int = -1  #: index of the user turn that said it
    scope: Scope = "now"  #: "always": holds beyond this conversation ("I never want horror")


def compile(catalog: Catalog, clauses: Sequence[Clause]) -> Bitmap:
    """Items that satisfy every clause. Shape: ``(N,)`` bool, catalogue row order.

    Raises ``FilterError`` naming the bad field, operator or value. A person's name that
    no item has is not an error (a rebuilt catalogue may have lost it): it matches nothing.
    """
    bitmap = catalog.alive.copy()
    for clause in clauses:
        bitmap &= compile_one(catalog, clause)
    return bitmap


def compile_one(catalog: Catalog, clause: Clause) -> Bitmap:
    """Rows that satisfy one clause. Shape: ``(N,)`` bool. Raises ``FilterError``.

    Removed rows are judged like any other: ``compile`` leaves them out.
    """
    facet = _facet(catalog, clause)
    if facet.kind == "number":
        return on_column(catalog.df, clause, True, clause.op == "none")
    return _holding(catalog, clause)


def _holding(catalog: Catalog, clause: Clause) -> Bitmap:
    """A clause on a column of values, by who holds each. Shape: ``(N,)`` bool."""
    held = catalog.holders(clause.field)
    bitmap = np.full(len(catalog), clause.op == "all")
    for value in clause.values:
        column = held.vocabulary.get(str(value))
        rows = held.held(column)[0] if column is not None else np.zeros(0, dtype=np.int64)
        if clause.op == "all":
            one = np.zeros(len(catalog), dtype=np.bool_)
            one[rows] = True
            bitmap &= one
        else:
            bitmap[rows] = True
    return ~bitmap if clause.op == "none" else bitmap


def on_column(df: pl.DataFrame, clause: Clause, number: bool, missing: bool) -> Bitmap:
    """A clause on a column as it stands, nothing checked. Shape: ``(N,)`` bool.

    ``number``: the column holds numbers, else lists of texts. ``missing``: what an item
    without a value counts as (see the module docstring).
    """
    expression = _number(clause) if number else _members(clause)
    column = df.select(expression.fill_null(missing).alias("ok"))["ok"]
    bitmap: Bitmap = column.to_numpy().astype(np.bool_)
    return bitmap


def _facet(catalog: Catalog, clause: Clause) -> Facet:
    known = {f.name: f for f in catalog.domain.facets if f.filterable and f.kind in OPERATORS}
    facet = known.get(clause.field)
    if facet is None:
        raise FilterError(
            f"No filterable facet {clause.field!r}: this catalogue has {', '.join(sorted(known))}."
        )
    if clause.op not in OPERATORS[facet.kind]:
        raise FilterError(
            f"Operator {clause.op!r} does not apply to {facet.name!r} (a {facet.kind} facet): "
            f"use one of {', '.join(OPERATORS[facet.kind])}."
        )
    if not clause.values:
        raise FilterError(f"The clause on {facet.name!r} has no values: give at least one.")
    if facet.kind == "number":
        _check_numbers(clause)
    else:
        _check_members(catalog, facet, clause)
    return facet


def _check_numbers(clause: Clause) -> None:
    for value in clause.values:
        if isinstance(value, str) or not np.isfinite(value):
            raise FilterError(f"{clause.field!r} takes finite numbers, got {value!r}.")
    if clause.op in ("ge", "le") and len(clause.values) != 1:
        raise FilterError(
            f"Operator {clause.op!r} on {clause.field!r} takes exactly one number, "
            f"got {len(clause.values)}: {clause.values}."
        )


def _check_members(catalog: Catalog, facet: Facet, clause: Clause) -> None:
    if facet.kind != "categories":
        bad = [v for v in clause.values if not isinstance(v, str)]
        if bad:
            raise FilterError(f"{facet.name!r} takes names, got {bad[0]!r}.")
        return
    known = catalog.values(facet.name)
    for value in clause.values:
        if value not in known:
            near = get_close_matches(str(value), [str(k) for k in known], n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see Catalog.values()."
            raise FilterError(f"No item has {facet.name} {value!r}: {hint}")


def _number(clause: Clause) -> pl.Expr:
    column = pl.col(clause.field)
    numbers = [float(v) for v in clause.values]
    if clause.op == "ge":
        return column >= numbers[0]
    if clause.op == "le":
        return column <= numbers[0]
    held = column.cast(pl.Float64).is_in(numbers)
    return ~held if clause.op == "none" else held


def _members(clause: Clause) -> pl.Expr:
    column = pl.col(clause.field)
    each = [column.list.contains(str(value)) for value in clause.values]
    if clause.op == "all":
        return pl.all_horizontal(each)
    some = pl.any_horizontal(each)
    return ~some if clause.op == "none" else some


def smallest_relaxations(
    catalog: Catalog, clauses: Sequence[Clause], exclude_rows: Sequence[int] = ()
) -> list[tuple[Clause, ...]]:
    """The smallest sets of clauses whose removal admits an item outside ``exclude_rows``.

    All sets of the smallest size, the one that admits most items first; empty when the
    clauses already admit something, or when dropping all of them would not help. Exact up
    to ``MANY_CLAUSES`` clauses; beyond, sets of one or two are looked at, then all of them.
    """
    clauses = list(clauses)
    bitmaps = [compile_one(catalog, clause) for clause in clauses]
    free = catalog.alive.copy()
    if len(exclude_rows):
        free[np.asarray(exclude_rows, dtype=np.int64)] = False

    def admitted(dropped: tuple[int, ...]) -> int:
        left = free.copy()
        for index, bitmap in enumerate(bitmaps):
            if index not in dropped:
                left &= bitmap
        return int(left.sum())

    if admitted(()):
        return []
    n = len(clauses)
    sizes = range(1, n + 1) if n <= MANY_CLAUSES else (1, 2, n)
    for size in sizes:
        found = [(admitted(drop), drop) for drop in combinations(range(n), size)]
        found = [(count, drop) for count, drop in found if count]
        if found:
            found.sort(key=lambda pair: (-pair[0], pair[1]))
            return [tuple(clauses[i] for i in drop) for _, drop in found]
    return []
