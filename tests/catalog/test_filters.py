"""Clauses on a catalogue of six films whose answers are written down, missing values included."""

import numpy as np
import pytest

from catalog.errors import FilterError
from catalog.filters import Clause, compile, smallest_relaxations
from catalog.items import Catalog


def ids(catalog: Catalog, *clauses: Clause) -> list[str]:
    return [catalog.ids[row] for row in np.flatnonzero(compile(catalog, clauses))]


@pytest.mark.parametrize(
    ("field", "op", "values", "expected"),
    [
        ("year", "ge", (2005,), ["two", "three", "five", "six"]),
        ("year", "le", (2005,), ["one", "two"]),  # four has no year: it fails
        ("year", "any", (1999, 2020), ["one", "six"]),
        ("year", "none", (1999,), ["two", "three", "four", "five", "six"]),  # and passes here
        ("genres", "any", ("Drama", "Horror"), ["one", "two", "four", "six"]),
        ("genres", "all", ("Drama", "Comedy"), ["two", "six"]),
        ("genres", "none", ("Comedy", "Horror"), ["one", "five"]),
        ("directors", "any", ("Ann Lee",), ["one", "three"]),
        ("directors", "all", ("Ann Lee", "Bo Kim"), ["three"]),
        ("directors", "any", ("Nobody",), []),
        ("language", "none", ("English",), ["two", "three", "five"]),
    ],
)
def test_known_answers(
    small: Catalog, field: str, op: str, values: tuple[float | str, ...], expected: list[str]
) -> None:
    clause = Clause.model_validate({"field": field, "op": op, "values": values})
    assert ids(small, clause) == expected


def test_clauses_are_joined_and_none_at_all_admits_everything(small: Catalog) -> None:
    comedy = Clause(field="genres", op="any", values=("Comedy",))
    old = Clause(field="year", op="le", values=(2010,))
    assert ids(small, comedy, old) == ["two", "three"]
    assert ids(small) == ["one", "two", "three", "four", "five", "six"]


@pytest.mark.parametrize(
    ("field", "op", "values", "said"),
    [
        ("colour", "any", ("Red",), "No filterable facet 'colour'"),
        ("premise", "any", ("x",), "No filterable facet 'premise'"),
        ("genres", "ge", ("Drama",), "does not apply"),
        ("genres", "any", ("Dramma",), "did you mean Drama"),
        ("genres", "any", (), "no values"),
        ("year", "ge", ("1999",), "finite numbers"),
        ("year", "ge", (1999, 2000), "exactly one"),
        ("directors", "any", (7,), "takes names"),
    ],
)
def test_errors_name_the_value_and_the_remedy(
    small: Catalog, field: str, op: str, values: tuple[float | str, ...], said: str
) -> None:
    clause = Clause.model_validate({"field": field, "op": op, "values": values})
    with pytest.raises(FilterError, match=said):
        compile(small, [clause])


def test_smallest_relaxations_names_the_clause_in_the_way(small: Catalog) -> None:
    drama = Clause(field="genres", op="any", values=("Drama",))
    french = Clause(field="language", op="any", values=("French",))
    recent = Clause(field="year", op="ge", values=(2005,))
    assert smallest_relaxations(small, [drama, french, recent]) == [(french,), (drama,)]
    assert smallest_relaxations(small, [drama, recent]) == []


def test_relaxations_respect_what_was_already_shown(small: Catalog) -> None:
    horror = Clause(field="genres", op="any", values=("Horror",))
    korean = Clause(field="language", op="any", values=("Korean",))
    shown = [small.row("two"), small.row("four"), small.row("six")]
    assert smallest_relaxations(small, [horror, korean], shown) == [(horror, korean)]
