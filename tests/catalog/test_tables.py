"""Reading tables as they are found: encodings, quotes, ragged rows, JSON, Parquet, SQL."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import tables
from catalog.errors import BuildError


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_every_usual_encoding_is_read_and_said(tmp_path: Path, encoding: str, said: str) -> None:
    text = "id,Größe,Preis\n1,süß,„5 €“\n2,weiß,6 €\n"
    table = tables.read(write(tmp_path / "a.csv", text, encoding))
    assert table.df.columns == ["id", "Größe", "Preis"]
    assert table.df["Größe"].to_list() == ["süß", "weiß"]
    assert said in " ".join(table.notes)


def test_a_few_broken_bytes_do_not_change_the_encoding(tmp_path: Path) -> None:
    rows = [f"{n},Größe {n}".encode() for n in range(200)]
    rows[7] = b"7,Gr\xf6\xdfe"
    (tmp_path / "a.csv").write_bytes(b"\n".join([b"id,title", *rows]))
    table = tables.read(tmp_path / "a.csv")
    assert len(table.df) == 199
    assert [(r.line, r.reason) for r in table.rejected] == [
        (9, "has bytes that are not in the file's encoding")
    ]


def test_rows_that_cannot_be_used_are_named_and_the_rest_survives(tmp_path: Path) -> None:
    text = (
        "id,title,note\n"
        '1,One,"two\nlines"\n'
        '2,"Open,never closed\n'
        "3,Three,ok\n"
        "4,Four,a,b\n"
        "5,Five,,,\n"
        "\n"
        "6,Six\n"
        '7,"Se""ven",x\n'
        '8,5" pipe,ok\n'
    )
    table = tables.read(write(tmp_path / "a.csv", text))
    assert table.df["id"].to_list() == ["1", "3", "5", "7", "8"]
    assert table.lines.tolist() == [2, 5, 7, 10, 11]
    assert table.df["note"].to_list()[0] == "two\nlines"
    assert table.df["title"].to_list()[3:] == ['Se"ven', '5" pipe']
    assert [(r.line, r.reason) for r in table.rejected] == [
        (4, "a quote is opened and not closed"),
        (6, "4 cells, the header has 3"),
        (9, "2 cells, the header has 3"),
    ]


def test_cells_that_excel_left_out_are_empty_where_they_mostly_are(tmp_path: Path) -> None:
    text = "id,title,extra\n1,a,\n2,b,\n3,c,x\n4,d\n"
    table = tables.read(write(tmp_path / "a.csv", text))
    assert table.df["title"].to_list() == ["a", "b", "c", "d"]
    assert table.lines.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "name", "columns"),
    [
        ("a;b;c\n1,5;2;3\n2,5;3;4\n", "x.csv", ["a", "b", "c"]),
        ("sep=;\na;b\n1;2\n", "x.csv", ["a", "b"]),
        ("a\tb, c\n1\t2, 3\n", "x.tsv", ["a", "b, c"]),
        ("a|b\n1|2\n", "x.txt", ["a", "b"]),
        ("title\nOne, two\nThree\n", "x.csv", ["title"]),
        ("a,a,,b\n1,2,3,4\n", "x.csv", ["a", "a 2", "column 3", "b"]),
        ("1,Lamp,20\n2,Desk,30\n", "x.csv", ["column 1", "column 2", "column 3"]),
        ("a,b\r1,2\r3,4\r", "x.csv", ["a", "b"]),
    ],
)
def test_separators_and_headings(tmp_path: Path, text: str, name: str, columns: list[str]) -> None:
    table = tables.read(write(tmp_path / name, text))
    assert table.df.columns == columns
    assert not table.rejected


def test_json_lines_objects_lists_and_faults(tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "t": "a", "tags": ["x", "y"], "maker": {"name": "Ada"}, "p": 2.0}',
        "{broken",
        "[1, 2]",
        '{"id": 2, "t": "b", "tags": "z", "p": NaN, "ok": true}',
    ]
    table = tables.read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert table.df["tags"].to_list() == [["x", "y"], ["z"]]
    assert table.df["maker name"].to_list() == ["Ada", None]
    assert table.df["p"].to_list() == ["2", None]
    assert table.df["ok"].to_list() == [None, "true"]
    assert [r.line for r in table.rejected] == [2, 3]
    whole = write(tmp_path / "b.json", json.dumps([{"id": 1}, {"id": 2}]))
    assert len(tables.read(whole).df) == 2


def test_parquet_with_every_kind_of_column(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "x": [1.5, float("nan")],
            "whole": [3.0, float("inf")],
            "tags": [["a"], None],
            "numbers": [[1, 2], []],
            "who": [{"name": "Ada", "born": 1815}, None],
            "day": pl.Series(["2020-01-02", None]).str.to_date(),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    df = tables.read(tmp_path / "a.parquet").df
    assert df["x"].to_list() == ["1.5", None]
    assert df["whole"].to_list() == ["3", None]
    assert df["tags"].to_list() == [["a"], None]
    assert df["numbers"].to_list() == [["1", "2"], None]
    assert df["who name"].to_list() == ["Ada", None]
    assert df["day"].to_list() == ["2020-01-02", None]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("create table items (id integer, title text, price real, blob blob)")
        shop.executemany(
            "insert into items values (?, ?, ?, ?)",
            [(1, "Lamp", 2.5, b"x"), (2, "Desk", None, None)],
        )
    shop.close()
    return path


def test_a_database_table_or_query(database: Path) -> None:
    table = tables.read(f"sqlite:///{database}?table=items")
    assert table.df["title"].to_list() == ["Lamp", "Desk"]
    assert table.df["price"].to_list() == ["2.5", None]
    some = tables.read(f"sqlite:///{database}?query=select title from items where price > 1")
    assert some.df["title"].to_list() == ["Lamp"]


def test_any_other_database_through_sqlalchemy(database: Path) -> None:
    pytest.importorskip("sqlalchemy")
    table = tables.read(f"sqlite+pysqlite:///{database}?table=items")
    assert table.df["title"].to_list() == ["Lamp", "Desk"]
    with pytest.raises(BuildError, match="cannot be read"):
        tables.read(f"sqlite+pysqlite:///{database}?table=absent")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{path}", "must name .table=NAME"),
        ("sqlite:///{path}?table=absent", "no such table"),
        ("sqlite:///{path}?table=items;drop", "is no table name"),
        ("sqlite:///{path}?query=delete from items", "must be a SELECT"),
        ("sqlite:///nowhere.db?table=items", "does not exist"),
        ("postgresql://me:secret@nowhere.invalid/shop", "me:…@nowhere.invalid.* must name"),
    ],
)
def test_a_bad_database_url_says_what_is_wrong(database: Path, url: str, said: str) -> None:
    with pytest.raises(BuildError, match=said) as caught:
        tables.read(url.replace("{path}", str(database)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "id,title\n", "no usable row"),
        ("a.csv", "id,title\n1\n", "1 were rejected, the first in line 2"),
        ("a.xlsx", "x", "Save a spreadsheet as CSV"),
        ("a.jsonl", "nonsense\n", "no usable row"),
        ("a.parquet", "nonsense", "cannot be read as Parquet"),
        ("a.json", "[1,", "is no JSON"),
    ],
)
def test_nothing_usable_is_an_error(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        tables.read(write(tmp_path / name, text))


def test_a_missing_file_lists_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nowhere\.csv does not exist: give a file \(\.csv"):
        tables.read(tmp_path / "nowhere.csv")


def test_a_huge_cell_is_cut_and_listed(tmp_path: Path) -> None:
    table = tables.read(write(tmp_path / "a.csv", f"id,title\n1,{'x' * 300_000}\n2,b\n"))
    assert len(table.df["title"][0]) == tables.MAX_CELL
    assert "300000 characters" in table.rejected[0].reason


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=12)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12),
    mark=st.sampled_from(",;\t|"),
)
def test_what_python_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str, str]], mark: str
) -> None:
    """Any quoted table comes back cell by cell; only rows of blanks are left out."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["first", "second", "third"])
    writer.writerows(rows)
    path = write(tmp_path / "a.csv", out.getvalue())
    full = [[cell.strip() or None for cell in row] for row in rows if any(map(str.strip, row))]
    if not full:
        with pytest.raises(BuildError, match="no usable row"):
            tables.read(path, delimiter=mark)
        return
    table = tables.read(path, delimiter=mark)
    assert not table.rejected
    assert [list(row) for row in table.df.rows()] == full


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=400))
def test_no_bytes_whatever_crash_the_reader(tmp_path: Path, data: bytes) -> None:
    """Any file is read or refused with a reason."""
    (tmp_path / "a.csv").write_bytes(b"id,title\n1,x\n" + data)
    try:
        table = tables.read(tmp_path / "a.csv")
    except BuildError:
        return
    assert len(table.df) == len(table.lines) > 0
