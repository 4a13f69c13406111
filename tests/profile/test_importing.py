"""Histories from elsewhere: the exports people have, matched to what the catalogue has."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import AgentError
from agent.importing import Imported, numeric, read_history
from catalog.items import Catalog
from tests.agent.shop import CATALOG, agent, done, items

FILMS = Path(__file__).parents[2] / "catalog" / "data" / "movies"
BOOKS = Path(__file__).parents[2] / "catalog" / "data" / "books"

RATINGS = """Date,Name,Year,Letterboxd URI,Rating
2024-01-02,Inception,2010,https://boxd.it/a,4.5
2024-01-03,Spirited Away,2001,https://boxd.it/b,5
2024-02-01,The Matrix,1999,https://boxd.it/c,1.5
2024-02-02,A Film That Nobody Made,2019,https://boxd.it/d,3
"""
WATCHED = """Date,Name,Year,Letterboxd URI
2024-01-02,Inception,2010,https://boxd.it/a
2024-01-05,Up,2009,https://boxd.it/e
"""
DIARY = """Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2024-01-06,Jaws,1975,https://boxd.it/f,3,Yes,"summer, sea",2024-01-05
"""
GOODREADS = '''Id,Title,Author,Author l-f,ISBN,My Rating,Original Publication Year,Exclusive Shelf
1,"{title} (Some Series, #1)",{author},"x","=""0""",5,{year},read
2,A Book That Nobody Wrote,Nobody Atall,"Atall, Nobody",,0,1999,read
3,Another To Come,Somebody Else,"Else, Somebody",,0,2001,to-read
'''


@pytest.fixture(scope="module")
def films() -> Catalog:
    return Catalog.open(FILMS)


def titles(found: Imported, opinion: str) -> set[str]:
    return {k.title for k in found.known if k.opinion == opinion}


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, text in files.items():
            packed.writestr(f"{name}.csv", text)
    return out.getvalue()


def test_letterboxds_zip(films: Catalog) -> None:
    data = zipped(ratings=RATINGS, watched=WATCHED, diary=DIARY, watchlist=WATCHED)
    found = read_history(data, "letterboxd.zip", films)
    assert found.kind == "Letterboxd"
    assert titles(found, "like") == {"Inception", "Spirited Away"}
    assert titles(found, "dislike") == {"The Matrix"}
    assert titles(found, "seen") == {"Up", "Jaws"}
    assert found.unmatched == ["A Film That Nobody Made (2019)"]
    assert {k.rating for k in found.known if k.title == "Inception"} == {0.9}


def test_one_table_of_letterboxds_and_any_other_table(films: Catalog) -> None:
    assert read_history(RATINGS.encode(), "ratings.csv", films).kind == "Letterboxd"
    other = "title;year;my score\nInception;2010;9\nUp;2009;3\nJaws;1975;\nNix da;1900;10\n"
    found = read_history(other.encode("cp1252"), "mine.csv", films)
    assert titles(found, "like") == {"Inception"} and titles(found, "dislike") == {"Up"}
    assert titles(found, "seen") == {"Jaws"} and found.unmatched == ["Nix da (1900)"]


def test_a_year_that_is_another_film(films: Catalog) -> None:
    found = read_history(b"title,year\nInception,1950\n", "mine.csv", films)
    assert found.known == [] and found.unmatched == ["Inception (1950)"]


def test_goodreads() -> None:
    books = Catalog.open(BOOKS)
    makers = next(f.name for f in books.domain.facets if f.role == "maker")
    row = int(books.popularity.argmax())
    item = books.item(books.ids[row])
    author = next(iter(item.values[makers]))  # type: ignore[arg-type]
    data = GOODREADS.format(title=item.title.replace('"', ""), author=author, year="")
    found = read_history(data.encode(), "goodreads_library_export.csv", books)
    assert (found.kind, found.left_out) == ("Goodreads", 1)
    assert [k.item_id for k in found.known] == [item.id] and found.known[0].opinion == "like"
    assert found.unmatched == ["A Book That Nobody Wrote (1999), Nobody Atall"]
    wrong = data.replace(author, "Quite Someoneelse")
    assert read_history(wrong.encode(), "g.csv", books).known == []


def test_an_imported_history_counts_in_the_next_slate(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    found = read_history(b"title,stars\nAurora,5\nBorealis,2\nNo Lamp,3\n", "l.csv", CATALOG)
    a.profiles.add("ann", "l.csv", found.known)
    assert items(done(a.turn("t", "under 200 \u20ac", user="ann"))) == ["l3", "l4", "l5"]
    held = a.profiles.held("ann")
    assert held and held.liked == ("l1",) and held.known == {"l1", "l2"}
    a.profiles.add("ann", "l.csv", found.known[:1])  # again: in the place of the first
    assert len(a.profiles.known("ann")) == 1
    a.close()


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"", "x.csv", "x.csv is empty"),
        (b"PK\x03\x04 no zip at all", "x.zip", "cannot be unpacked"),
        (zipped(nothing="a\n1\n"), "x.zip", "holds none of watched.csv"),
        (b"price;weight\n1;2\n3;4\n", "x.csv", "no column of titles"),
        (b"a,b\n1,2\n", "x.docx", "x.docx has the ending .docx"),
        (b"a header alone,title\n", "x.csv", "no usable row"),
    ],
)
def test_files_that_are_none_say_so(data: bytes, name: str, told: str) -> None:
    with pytest.raises(AgentError, match=told):
        read_history(data, name, CATALOG)


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_history(data, "x.csv", CATALOG)
    except AgentError as error:
        assert "x.csv" in str(error)


def test_ratings_as_people_write_them() -> None:
    values = [numeric(t) for t in ("4,5", "4.5/5", "★★★½", "", "none", "10")]
    assert values == [4.5, 4.5, 3.5, None, None, 10.0]
