"""What was said of tents is not meant of boots: clauses that a new category has no use for.

Naming another category ("what about boots?") leaves clauses standing that were about the old
one. Those on facets for which no item of the new category has any value cannot be meant, and
would leave nothing to show; all others stay.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from agent.state import Beliefs, StateUpdate
from catalog.filters import compile
from catalog.items import Catalog


def applicable(beliefs: Beliefs, update: StateUpdate, catalog: Catalog) -> Beliefs:
    """Beliefs without the clauses that no item of a newly named category can meet."""
    roles = {facet.name: facet.role for facet in catalog.domain.facets}
    named = [c for c in update.add if c.op in ("any", "all") and roles.get(c.field) == "category"]
    rows = compile(catalog, named) if named else None
    if rows is None or not rows.any():
        return beliefs
    said = {clause.field for clause in update.add}
    kept = tuple(
        clause
        for clause in beliefs.clauses
        if clause.op == "none" or clause.field in said or known(catalog, clause.field, rows)
    )
    return beliefs.model_copy(update={"clauses": kept})


def known(catalog: Catalog, field: str, rows: npt.NDArray[np.bool_]) -> bool:
    """Whether any of the items has a value there."""
    column = catalog.df[field].filter(pl.Series(rows))
    held = column.list.len() > 0 if column.dtype == pl.List else column.is_not_null()
    return bool(held.fill_null(False).any())
