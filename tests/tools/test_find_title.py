"""Titles and people in free text, on the bundled films and on a shop of lamps."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.items import Catalog
from tests.agent.lamps import lamps
from tools.find_title import Link, TitleLinker
from tools.names import title_forms, tokens

MOVIES = Path(__file__).parents[2] / "catalog/data/movies"


@pytest.fixture(scope="module")
def films() -> Catalog:
    return Catalog.open(MOVIES)


@pytest.fixture(scope="module")
def linker(films: Catalog) -> TitleLinker:
    return TitleLinker(films)


def titles(films: Catalog, links: list[Link]) -> list[str]:
    return [films.df["title"][x.row] for x in links if x.kind == "item"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("something like Arrival but less slow", ["Arrival"]),
        ("i loved the godfather and goodfellas", ["The Godfather", "Goodfellas"]),
        ("something like Incepton", ["Inception"]),
        ("like shawshank redemtion", ["The Shawshank Redemption"]),
        ("the matrix 2", ["The Matrix Reloaded"]),
        ("i loved eternal sunshine", ["Eternal Sunshine of the Spotless Mind"]),
        ("anything like spiderman?", ["Spider-Man"]),
        ("have you seen Amelie", ["Amélie"]),
        ('we watched "Up" last night', ["Up"]),
        ("i give up, show me what you have", []),
        ("it was home to her, big and seven years old", []),
        ("The Thing (1982) was great", ["The Thing"]),
        ("Fast & Furious", ["Fast & Furious"]),
        ("Insidious: Chapter 4 is out", []),
        ("", []),
    ],
)
def test_titles(films: Catalog, linker: TitleLinker, text: str, expected: list[str]) -> None:
    assert titles(films, linker.link(text)) == expected


@pytest.mark.parametrize(
    ("text", "name", "facet"),
    [
        ("with tom hanks", "Tom Hanks", "cast"),
        ("no Nolan please", "Christopher Nolan", "directors"),
        ("anything by Villeneuve", "Denis Villeneuve", "directors"),
        ("directed by clint eastwood", "Clint Eastwood", "directors"),
        ("starring Clint Eastwood", "Clint Eastwood", "cast"),
        ("a film with Samuel Jackson", "Samuel L. Jackson", "cast"),
    ],
)
def test_people(linker: TitleLinker, text: str, name: str, facet: str) -> None:
    people = [(x.value, x.facet) for x in linker.link(text) if x.kind == "person"]
    assert people == [(name, facet)]


def test_a_year_beside_a_title_chooses_among_namesakes(films: Catalog, linker: TitleLinker) -> None:
    rows = [linker.link(f"I liked The Thing ({year})")[0].row for year in (1982, 2011)]
    assert [films.df["year"][r] for r in rows] == [1982, 2011]


def test_what_was_spoken_of_before_wins(films: Catalog, linker: TitleLinker) -> None:
    old = films.df.filter((films.df["title"] == "The Thing") & (films.df["year"] == 2011))["id"][0]
    assert linker.link("I liked The Thing", hints={old})[0].value == old


def test_unknown_names_are_told(linker: TitleLinker) -> None:
    text = 'I loved "The Quibble Affair" and something like Zorblax Prime'
    assert linker.unknown(text, linker.link(text)) == ["The Quibble Affair", "Zorblax Prime"]


def test_forms() -> None:
    forms = title_forms("The Lord of the Rings: The Fellowship of the Ring")
    assert forms["lord of rings fellowship of ring"] == "full"
    assert forms["lord of rings"] == "short"
    assert forms["lotr"] == "acronym"
    assert "spiderman" in title_forms("Spider-Man")
    assert "rocky 2" in title_forms("Rocky II") and title_forms("Two")["2"] == "full"


def test_another_domain() -> None:
    linker = TitleLinker(lamps())
    found = linker.link("like the Comet, but by Ada Holm")
    assert [(x.value, x.kind) for x in found] == [("l3", "item"), ("Ada Holm", "person")]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_links_to_real_stretches_of_it(linker: TitleLinker, text: str) -> None:
    for link in linker.link(text):
        assert text[link.start : link.end] == link.said
        assert 0 <= link.score <= 1
    assert all(0 <= t.start < t.end <= len(text) for t in tokens(text))
