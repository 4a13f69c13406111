"""Clauses that a newly named category has no use for."""

from agent.applying import applicable
from agent.beliefs import apply
from agent.state import Beliefs, StateUpdate
from catalog.filters import Clause
from tests.agent.lamps import lamps


def clause(field: str, op: str, *values: float | str) -> Clause:
    return Clause(field=field, op=op, values=values)  # type: ignore[arg-type]


def test_what_no_item_of_the_new_kind_has_is_dropped_and_nothing_else() -> None:
    catalog = lamps()
    held = Beliefs(
        clauses=(
            clause("kind", "any", "Desk"),
            clause("price", "le", 50.0),
            clause("maker", "none", "Cy Oduya"),
        )
    )
    update = StateUpdate(intent="critique", add=(clause("kind", "any", "Floor"),))
    after = applicable(apply(held, update), update, catalog)
    assert {c.field for c in after.clauses} == {"kind", "price", "maker"}
    bare = catalog.df.with_columns(price=None)
    catalog.df = bare
    after = applicable(apply(held, update), update, catalog)
    assert {c.field for c in after.clauses} == {"kind", "maker"}


def test_a_turn_without_a_category_changes_nothing() -> None:
    catalog = lamps()
    held = Beliefs(clauses=(clause("year", "ge", 3000.0),))
    update = StateUpdate(intent="critique", add=(clause("price", "le", 50.0),))
    assert applicable(held, update, catalog) is held
