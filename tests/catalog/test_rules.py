"""Business rules: hard ones hold, soft ones weigh, pins obey, mistakes are named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import RuleError
from catalog.filters import Clause, compile
from catalog.items import Catalog
from catalog.rules import CompiledRules, Pin, Rules
from tests.catalog.conftest import make


@pytest.fixture(scope="module")
def shop(small: Catalog) -> Catalog:
    """The six films with what a shop would add."""
    ages = pl.Series("age", [6, 12, None, 18, 9, 16], dtype=pl.Int32)
    df = small.df.with_columns(
        pl.Series("stock", [3, 0, 1, 5, None, 2], dtype=pl.Int32),
        pl.Series("region", ["EU", "EU", "US", None, "EU", "EU"]),
        pl.Series("on_sale", [True, False, None, True, True, True]),
        ages,
    )
    year = small.domain.facets[0]
    age = year.model_copy(update={"name": "age", "role": "audience"})
    facets = [*small.domain.facets, age]
    return make(df, small.domain.model_copy(update={"facets": facets}))


def rules(tmp_path: Path, text: str) -> Rules:
    file = tmp_path / "rules.yaml"
    file.write_text(text, "utf-8")
    return Rules.read(file)


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("{field: stock, ge: 1}", [0, 2, 3, 5]),
        ("{field: stock, ge: 1, missing: keep}", [0, 2, 3, 4, 5]),
        ("{field: region, any: [EU]}", [0, 1, 4, 5]),
        ("{field: region, none: EU}", [2, 3]),
        ("{field: genres, none: [Horror]}", [0, 1, 2, 4]),
        ("{field: genres, all: [Drama, Comedy]}", [1, 5]),
        ("{field: on_sale, any: 1}", [0, 3, 4, 5]),
        ("{children: 9}", [0, 4]),
        ("{field: age, le: 12, missing: keep}", [0, 1, 2, 4]),
    ],
)
def test_hard_rules_admit_these_rows(
    shop: Catalog, tmp_path: Path, rule: str, rows: list[int]
) -> None:
    compiled = rules(tmp_path, f"require:\n  - {rule}\n").compile(shop)
    assert np.flatnonzero(compiled.allowed).tolist() == rows
    assert (compiled.boost == 1).all() and not compiled.pins


def test_soft_rules_multiply(shop: Catalog, tmp_path: Path) -> None:
    text = """
    bury: [{field: genres, any: [Horror], by: 0.25}]
    boost:
      - {field: year, ge: 2015, by: 2}
      - {field: region, any: [EU], by: 1.5}
    """
    compiled = rules(tmp_path, text).compile(shop)
    assert compiled.boost.tolist() == [1.5, 1.5, 1, 0.25, 3.0, 0.75]
    assert compiled.allowed.all()


def test_an_empty_file_and_no_rules_admit_everything(shop: Catalog, tmp_path: Path) -> None:
    for none in (Rules(), rules(tmp_path, ""), rules(tmp_path, "require: []\n")):
        compiled = none.compile(shop)
        assert compiled.allowed.all() and (compiled.boost == 1).all()
        assert compiled.place([3, 1], compiled.allowed, compiled.boost, 5) == (3, 1)


def test_pins_stand_at_their_positions(shop: Catalog, tmp_path: Path) -> None:
    text = """
    pin:
      - {position: 3, field: genres, any: [Comedy]}
      - {position: 1, item: five}
    """
    compiled = rules(tmp_path, text).compile(shop)
    weights = np.array([1.0, 2, 3, 4, 5, 2.5])
    everything = np.ones(6, dtype=bool)
    assert compiled.place([0, 1, 3, 2], everything, weights, 4) == (4, 0, 2, 1)
    assert compiled.place([4, 0], everything, weights, 4) == (4, 0, 2)
    assert compiled.place([0, 1], everything, weights, 2) == (4, 0)  # the third place is not shown
    refused = everything.copy()
    refused[4] = refused[2] = False  # the person refused five; three was shown
    assert compiled.place([0, 1, 3], refused, weights, 3) == (0, 1, 5)
    drama = compile(shop, [Clause(field="genres", op="any", values=("Drama",))])
    assert compiled.place([0], drama, weights, 3) == (0, 5)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_pins_never_break_a_constraint_or_repeat(data: st.DataObject) -> None:
    """Random slates, constraints and pins: everything shown is allowed, nothing twice."""
    n = 12
    bits = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    hard, user = data.draw(bits), data.draw(bits)
    positions = data.draw(st.sets(st.integers(1, 8), max_size=4))
    rows = st.lists(st.integers(0, n - 1), unique=True, max_size=4).map(
        lambda r: np.array(r, dtype=np.int64)
    )
    pins = tuple(Pin(position, data.draw(rows)) for position in sorted(positions))
    compiled = CompiledRules(hard, np.ones(n), pins)
    allowed = hard & user
    size = data.draw(st.integers(1, 6))
    slate = data.draw(st.permutations(np.flatnonzero(allowed).tolist()))[:size]
    placed = compiled.place(slate, allowed, np.arange(n, dtype=float), size)
    assert len(set(placed)) == len(placed) <= size
    assert all(allowed[row] for row in placed)
    assert len(placed) >= len(slate)
    for pin in pins:
        if pin.position <= len(slate) and allowed[pin.rows].sum() >= len(pins):
            assert placed[pin.position - 1] in pin.rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requires: []", "'requires': use require, bury, boost, pin"),
        ("- 1", "holds a list"),
        ("require: {field: stock}", "a list of rules"),
        ("require:\n  - stock", "'stock' is no rule"),
        ("require:\n  - {field: stock, ge: 1, le: 3}", "line 2: .*exactly one of"),
        ("require:\n  - {field: stock}", "exactly one of"),
        ("require:\n  - {field: stock, get: 1}", "has no 'get': did you mean 'ge'"),
        ("require:\n  - {field: stock, ge: [1, 2]}", "ge takes one number"),
        ("require:\n  - {field: stock, ge: lots}", "holds numbers, got 'lots'"),
        ("require:\n  - {field: stock, ge: .inf}", "finite numbers"),
        ("require:\n\n  - {field: stok, ge: 1}", "line 3: .*no field 'stok': did you mean 'stock'"),
        ("require:\n  - {field: genres, ge: 1}", "'ge' does not apply to 'genres'"),
        (
            "require:\n  - {field: genres, none: [Horor]}",
            "no item has genres 'Horor': did you mean",
        ),
        ("require:\n  - {field: year, ge: 2999}", "no item is left"),
        ("require:\n  - {field: stock, ge: 1, missing: perhaps}", "keep or drop"),
        ("require:\n  - {children: twelve}", "0 to 21"),
        ("require:\n  - {children: 9, field: age}", "0 to 21"),
        ("bury:\n  - {field: year, ge: 2000}", "bury by None"),
        ("bury:\n  - {field: year, ge: 2000, by: 0}", "use require"),
        ("boost:\n  - {field: year, ge: 2000, by: 0.5}", "between 1 and 100"),
        ("pin:\n  - {position: 0, item: one}", "position is 0: a whole number from 1 to 20"),
        ("pin:\n  - {position: 21, item: one}", "position is 21"),
        ("pin:\n  - {position: 1.5, item: one}", "position is 1.5"),
        ("pin:\n  - {item: one}", "position is None"),
        ("pin:\n  - {position: 1, item: 7}", "one id as text"),
        (
            "pin:\n  - {position: 1, item: one}\n  - {position: 1, item: two}",
            "line 3: position 1 is",
        ),
        ("require:\n  - {field: a, field: b, ge: 1}", "'field' stands there twice"),
        ("require: [", "not valid YAML"),
    ],
)
def test_mistakes_are_named(shop: Catalog, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        rules(tmp_path, text).compile(shop)


def test_childrens_mode_needs_an_advised_age(small: Catalog, tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="role audience"):
        rules(tmp_path, "require: [{children: 6}]").compile(small)
    with pytest.raises(RuleError, match="cannot be read"):
        Rules.read(tmp_path / "none.yaml")


def test_soft_rules_on_what_is_gone_are_notes(shop: Catalog, tmp_path: Path) -> None:
    text = "pin: [{position: 2, item: gone}]\nbury: [{field: genres, any: [Western], by: 0.5}]"
    compiled = rules(tmp_path, text).compile(shop)
    assert not compiled.pins and (compiled.boost == 1).all()
    assert [note.split(": ")[1] for note in compiled.notes] == [
        "no item 'gone' in this catalogue.",
        "no item has genres 'Western'",
    ]


def test_hard_rules_are_no_clauses_so_none_is_ever_offered_for_relaxation(
    shop: Catalog, tmp_path: Path
) -> None:
    """Relaxing looks at the person's clauses only; rows the rules close count as excluded."""
    from catalog.filters import smallest_relaxations

    compiled = rules(tmp_path, "require: [{field: genres, none: [Horror]}]").compile(shop)
    clauses = [
        Clause(field="genres", op="any", values=("Horror",)),
        Clause(field="year", op="ge", values=(2005,)),
    ]
    found = smallest_relaxations(shop, clauses, np.flatnonzero(~compiled.allowed))
    assert found == [(clauses[0],)]
