"""A catalogue from a real PostgreSQL: a table, a query, and what is said when that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.build import prepare
from catalog.errors import BuildError
from catalog.importers.sql import read_sql
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="needs requirements/sql.txt")
pytest.importorskip("sqlalchemy", reason="needs requirements/sql.txt")

TABLE = """
create table wines (
  id serial primary key, name text not null, price numeric(8, 2), grapes text[],
  vintage int, organic boolean, added timestamp, label bytea, note text
);
insert into wines (name, price, grapes, vintage, organic, added, label, note) values
  ('Old Hill', 12.50, '{Syrah,Grenache}', 2019, true, '2024-03-01 10:00', '\\x00', 'Dark'),
  ('Côte "Claire"', 8.00, '{Chardonnay}', 2021, false, null, null, null),
  ('Late Bloom', 31.90, '{}', null, null, '2024-05-01 00:00', null, E'Two\\nlines; a comma,'),
  ('Nameless Red', null, null, 2020, true, null, null, 'Plain');
create schema cellar;
create view cellar.young as select id, name, price from wines where vintage >= 2020;
create table empty (id int, name text);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        with psycopg.connect(running.url) as connection:
            connection.execute(TABLE)
        yield running


def test_a_table_with_its_types(server: Postgres) -> None:
    table = read_sql(f"{server.url}?table=wines")
    assert len(table.df) == 4 and table.df["name"][1] == 'Côte "Claire"'
    assert table.df["price"].to_list() == ["12.50", "8.00", "31.90", None]
    assert table.df["note"][2] == "Two\nlines; a comma,"
    assert table.notes == ["lines count the rows of the query"]
    prepared = prepare(f"{server.url}?table=wines", noun="wine")
    assert prepared.df["price"].to_list() == [12.5, 8, 31.9, None]
    grapes = next(f.name for f in prepared.domain.facets if f.label == "grape")
    assert prepared.df[grapes][0].to_list() == ["Syrah", "Grenache"]
    year = next(f.name for f in prepared.domain.facets if f.role == "date")
    assert 2019 in prepared.df[year].to_list()


def test_a_query_and_a_view_of_another_schema(server: Postgres) -> None:
    query = "SELECT id, name, price FROM wines WHERE price < 20 ORDER BY price"
    assert read_sql(f"{server.url}?query={query}").df["name"].to_list() == [
        'Côte "Claire"',
        "Old Hill",
    ]
    assert len(read_sql(f"{server.url}?table=cellar.young").df) == 2
    old = server.url.replace("postgresql://", "postgres://")  # as some hosts write it
    assert len(read_sql(f"{old}?table=wines").df) == 4


def test_what_is_missing_is_said(server: Postgres, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r'"wine" does not exist.*it has the tables empty, wines'):
        read_sql(f"{server.url}?table=wine")
    with pytest.raises(BuildError, match='column "cost" does not exist'):
        read_sql(f"{server.url}?query=SELECT cost FROM wines")
    with pytest.raises(BuildError, match='role "stranger" does not exist') as told:
        read_sql(server.url.replace("parley@", "stranger:secret@") + "?table=wines")
    assert "secret" not in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(BuildError, match='database "nowhere" does not exist'):
        read_sql(server.url.replace("/postgres", "/nowhere") + "?table=wines")
    with pytest.raises(BuildError, match="no "):
        prepare(f"{server.url}?table=empty")


def test_nothing_can_be_changed_through_a_query(server: Postgres) -> None:
    for query in ("DELETE FROM wines", "SELECT 1; DROP TABLE wines"):
        with pytest.raises(BuildError):
            read_sql(f"{server.url}?query={query}")
    assert len(read_sql(f"{server.url}?table=wines").df) == 4


def test_a_server_that_is_gone(server: Postgres) -> None:
    server.stop()
    try:
        with pytest.raises(BuildError, match=r"cannot be read: .*(refused|failed)"):
            read_sql(f"{server.url}?table=wines")
    finally:
        server.start()
    assert len(read_sql(f"{server.url}?table=wines").df) == 4
