"""Suggestions while typing, on names whose answers are known."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from catalog.growth import Change, grown
from catalog.items import Catalog
from tests.agent.lamps import lamps
from tools.suggest import Suggester, folded, starts

SHOP = Suggester(lamps())
BUNDLE = Path(__file__).parent.parent.parent / "catalog" / "data" / "movies"


@pytest.fixture(scope="module")
def films() -> Suggester:
    return Suggester(Catalog.open(BUNDLE))


def texts(suggester: Suggester, typed: str, limit: int = 8) -> list[str]:
    return [s.text for s in suggester.suggest(typed, limit)]


def test_titles_people_and_values_of_any_shop() -> None:
    title, person, value = (SHOP.suggest(t)[0] for t in ("aur", "hol", "amb"))
    assert (title.text, title.kind, title.item_id, title.facet) == ("Aurora", "title", "l1", None)
    assert title.detail == "2019, Ada Holm"
    assert (person.text, person.kind, person.facet, person.detail) == (
        "Ada Holm", "person", "maker", "maker",
    )  # fmt: skip
    assert (value.text, value.kind, value.facet, value.detail) == (
        "ambience", "value", "uses", "use",
    )  # fmt: skip


def test_the_best_known_come_first_and_whole_names_before_longer_ones() -> None:
    # Ada Holm made three known lamps, Aurora is one of them; both begin with "a".
    assert texts(SHOP, "a")[:2] == ["Ada Holm", "ambience"]
    assert texts(SHOP, "dusk") == ["Dusk"]
    assert texts(SHOP, "DÜSK") == ["Dusk"]


@pytest.mark.parametrize("typed", ["borealsi", "boralis", "boorealis", "brealis", "obrealis"])
def test_a_slip_is_forgiven(typed: str) -> None:
    assert texts(SHOP, typed) == ["Borealis"]


@pytest.mark.parametrize("typed", ["", "  ", "!?", "zzzzzz", "x" * 500, "\x00"])
def test_what_leads_nowhere_leads_nowhere(typed: str) -> None:
    assert texts(SHOP, typed) == []
    assert SHOP.suggest("aurora", 0) == []


def test_folding_and_starts() -> None:
    assert folded("  Amélie’s  WALL-E! ") == "amelies wall e"
    assert list(starts("The Big One")) == [
        ("the big one", True), ("big one", False), ("one", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("eternal sun", "Eternal Sunshine of the Spotless Mind"),
        ("amel", "Amélie"),
        ("matirx", "The Matrix"),
        ("spidrman", "Spider-Man: Homecoming"),
        ("denis vill", "Denis Villeneuve"),
        ("vilenueve", "Denis Villeneuve"),
        ("sci-fi", "Science Fiction"),
        ("wall-e", "WALL-E"),
    ],
)
def test_over_the_bundled_films(films: Suggester, typed: str, first: str) -> None:
    assert texts(films, typed)[0] == first


def test_a_change_is_looked_up_beside_the_rest() -> None:
    before = SHOP.catalog
    new = before.df.head(1).with_columns(
        pl.lit("new").alias("id"), pl.lit("Zephyrine").alias("title")
    )
    new = new.with_columns(maker=pl.lit(["Ada Holm", "Cyra Ashwood"]))
    edited = before.df[1:2].with_columns(pl.lit("Crooked Glow").alias("title"))
    df = pl.concat([new.select(before.df.columns), edited]).cast(before.df.schema)
    rows = [0, 1]
    change = Change(
        df,
        before.vectors[rows],
        np.array([[250, 250, 250], before.codes[1]], dtype=np.uint8),
        np.zeros(0, dtype=np.int64),
        np.zeros((0, before.vectors.shape[1]), dtype=np.float32),
        {name: values[rows] for name, values in before.scales.items()},
        (before.ids[2],),
    )
    after = SHOP.grown(grown(before, change, "after"))
    old, gone = before.df["title"][1], before.df["title"][2]
    assert [s.item_id for s in after.suggest("zeph")] == ["new"]
    assert texts(after, "crooked") == ["Crooked Glow"] and texts(after, "zefyrine") == ["Zephyrine"]
    assert old not in texts(after, old) and gone not in texts(after, gone)
    assert texts(SHOP, old)[0] == old and texts(SHOP, gone)[0] == gone
    assert texts(after, "ashwood") == ["Cyra Ashwood"]
    assert texts(after, "ada h") == ["Ada Holm"]
    assert len(Suggester(after.catalog).suggest("ada h")) == 1


def test_never_more_than_asked_for_and_none_twice(films: Suggester) -> None:
    for typed in ("s", "th", "the", "john", "star w"):
        found = films.suggest(typed, 5)
        assert len(found) == len({(s.text, s.item_id, s.facet) for s in found}) == 5
