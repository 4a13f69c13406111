"""A table or a query of a database as texts, read in pieces.

    sqlite:///shop.db?table=items                     (Python's own driver)
    sqlite:////home/me/shop.db?query=SELECT * FROM items WHERE price > 0
    postgresql://user:password@host/shop?table=items  (SQLAlchemy: requirements/sql.txt)

Rows are counted as they come; that number is the "line" of a rejected row.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl

from catalog.errors import BuildError
from catalog.tables import CHUNK, Table, as_text, frame_of, tidy

NAME = re.compile(r"^[\w$]+(?:\.[\w$]+)?$")
#: PostgreSQL's driver is named, as SQLAlchemy's own choice differs from version to version.
DRIVER = re.compile(r"^postgres(?:ql)?://")
USUAL = "sqlite:///shop.db?table=items or postgresql://user@host/shop?table=items"


def read_sql(url: str) -> Table:
    """Read the table or query a URL names. ``BuildError`` says what is missing or wrong."""
    base, statement = parts(url)
    try:
        if base.startswith("sqlite:///"):
            path = Path(unquote(base.removeprefix("sqlite:///")))
            if not path.is_file():
                raise BuildError(f"{path} does not exist: sqlite:/// takes the path of a database.")
            connection: Any = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            try:
                frames = _sqlite(connection, statement)
            finally:
                connection.close()
        else:
            frames = _alchemy(base, statement)
    except sqlite3.Error as error:
        raise BuildError(f"{shown(url)} cannot be read: {error}.") from error
    if not frames:
        return Table(pl.DataFrame(), np.zeros(0, np.int64), [], [])
    df = tidy(pl.concat(frames, how="diagonal"))
    return Table(df, np.arange(1, len(df) + 1), [], ["lines count the rows of the query"])


def parts(url: str) -> tuple[str, str]:
    """The database's own URL, and the statement to run. ``BuildError`` without one."""
    base, _, rest = url.partition("?")
    table = query = ""
    kept = []
    for piece in re.split(r"&(?=table=|query=)", rest) if rest else []:
        key, _, value = piece.partition("=")
        if key == "table":
            table = unquote(value)
        elif key == "query":
            query = unquote(value.replace("+", " "))
        else:
            kept.append(piece)
    if bool(table) == bool(query):
        raise BuildError(f"{shown(url)} must name ?table=NAME or ?query=SELECT…: {USUAL}.")
    if table and not NAME.match(table):
        raise BuildError(f"{table!r} is no table name: letters, digits, _ and one dot.")
    if query and not query.lstrip().lower().startswith(("select", "with")):
        raise BuildError(f"The query must be a SELECT, got {query[:40]!r}.")
    return base + (
        "?" + "&".join(kept) if kept else ""
    ), query or f"SELECT * FROM {quoted(table, base)}"


def quoted(table: str, base: str) -> str:
    """A table's name as SQL takes it; MySQL has quotes of its own."""
    mark = "`" if base.startswith(("mysql", "mariadb")) else '"'
    return ".".join(f"{mark}{part}{mark}" for part in table.split("."))


def shown(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:/@]+):[^@]+@", r"\1:…@", url)


def _sqlite(connection: sqlite3.Connection, statement: str) -> list[pl.DataFrame]:
    cursor = connection.execute(statement)
    names = [column[0] for column in cursor.description]
    frames = []
    while rows := cursor.fetchmany(CHUNK):
        values = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
        frames.append(frame_of(values))
    return frames


def _plain(value: Any) -> str | None:
    if isinstance(value, list):  # a PostgreSQL array
        return json.dumps([as_text(one) for one in value if one is not None], ensure_ascii=False)
    return None if isinstance(value, bytes | memoryview) else as_text(value)


def _alchemy(base: str, statement: str) -> list[pl.DataFrame]:
    """Any other database through SQLAlchemy, streamed."""
    try:
        import sqlalchemy
    except ImportError as error:
        raise BuildError(
            f"{shown(base)} needs SQLAlchemy and the database's driver: "
            "`.venv/bin/python -m pip install -r requirements/sql.txt -c constraints.txt`."
        ) from error
    engine = None
    try:
        engine = sqlalchemy.create_engine(DRIVER.sub("postgresql+psycopg://", base))
        options: dict[str, Any] = {"stream_results": True}
        if engine.dialect.name == "postgresql":  # whatever the query calls, nothing is written
            options["postgresql_readonly"] = True
        with engine.connect().execution_options(**options) as connection:
            found = connection.execute(sqlalchemy.text(statement))
            names = list(found.keys())
            frames = []
            for rows in found.partitions(CHUNK):
                columns = {n: [_plain(row[i]) for row in rows] for i, n in enumerate(names)}
                frames.append(
                    pl.DataFrame({n: pl.Series(c, dtype=pl.String) for n, c in columns.items()})
                )
            return frames
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise BuildError(f"{shown(base)} cannot be read: {_reason(error, engine)}.") from error
    finally:
        if engine is not None:
            engine.dispose()


def _reason(error: Exception, engine: Any) -> str:
    """What the database said, in one line; for an unknown table also which ones there are."""
    import sqlalchemy

    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".")
    if "does not exist" not in said or "relation" not in said:
        return said
    try:
        names = sqlalchemy.inspect(engine).get_table_names()
    except sqlalchemy.exc.SQLAlchemyError:
        return said
    return f"{said}; it has the tables {', '.join(sorted(names)[:20]) or '(none)'}"
