"""The book importer: a row of goodbooks-10k becomes an item; the bundled folder is whole."""

from pathlib import Path

from catalog.importers.books import to_item, unique
from catalog.items import Catalog

FOLDER = Path(__file__).parents[2] / "catalog/data/books"
ROW = {
    "title": "Mort (Discworld, #4; Death, #1)",
    "authors": "Terry Pratchett, Someone Else, A Third",
    "original_publication_year": 1987.0,
    "language_code": "en-GB",
    "average_rating": 4.2,
    "ratings_count": 10_000,
}


def test_a_row_becomes_an_item() -> None:
    item = to_item(ROW, {"Terry Pratchett": ["Fantasy"]})
    assert item["title"] == "Mort" and item["series"] == ["Discworld"]
    assert item["authors"] == ["Terry Pratchett", "Someone Else"]
    assert item["language"] == ["English"] and item["genres"] == ["Fantasy"]
    assert item["editorial"] == ["genres"] and item["popularity"] == 2.0
    twins = unique([dict(item), dict(item), dict(item)])
    assert len({t["id"] for t in twins}) == 3


def test_the_bundled_books() -> None:
    catalog = Catalog.open(FOLDER)
    assert len(catalog) == 10_000
    hobbit = catalog.item("The Hobbit (J.R.R. Tolkien)")
    assert hobbit.values["authors"] == ("J.R.R. Tolkien",) and "premise" in hobbit.editorial
    premises = [p for p in catalog.df["premise"].to_list() if p]
    assert len(premises) >= 150 and max(len(p.split()) for p in premises) <= 25
