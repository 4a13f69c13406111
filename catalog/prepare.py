"""What `make chat CATALOG=books.csv` runs first: the catalogue, built if it is not, or is old.

A built catalogue folder is taken as it is. Anything else is built into ``HOME/catalogs/NAME``,
and built again only when the source, its config or its interactions changed (a fingerprint of
them lies beside the folder). The last line printed on standard output is the folder to open.

    python -m catalog.prepare books.csv
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from catalog import folder
from catalog.build import build
from catalog.errors import BuildError, CatalogError
from catalog.tables import is_url

ROOT = Path(__file__).resolve().parent.parent
VERSION = 1  # raise it when builds made by older code must be made again


def prepare(
    source: str,
    home: Path,
    config: Path | None = None,
    interactions: Path | None = None,
    console: Console | None = None,
) -> Path:
    """The built catalogue folder of a source. ``CatalogError`` names what is wrong with it."""
    path = Path(source).expanduser()
    if not is_url(source) and (path / "manifest.json").is_file():
        folder.read_manifest(path)
        return path.resolve()
    if not is_url(source) and not path.exists():
        raise BuildError(
            f"CATALOG={source} does not exist. Give a table (CSV, TSV, JSON lines, Parquet), a "
            "database URL (sqlite:///shop.db?table=items) or a built catalogue folder."
        )
    out = home.expanduser() / "catalogs" / place_of(source)
    mark = out.with_name(f"{out.name}.source")
    now = fingerprint(source, [p for p in (config, interactions) if p is not None])
    if (out / "manifest.json").is_file() and mark.is_file() and mark.read_text("utf-8") == now:
        return out
    if console is not None:
        console.print(f"Building the catalogue of {source} …", markup=False)
    build(
        source if is_url(source) else path,
        out,
        config=config,
        interactions=interactions,
        console=console,
    )
    mark.write_text(now, "utf-8")
    return out


def place_of(source: str) -> str:
    """A folder name for a source: its own name, and a hash so that two ``items.csv`` differ."""
    whole = source if is_url(source) else str(Path(source).expanduser().resolve())
    stem = Path(source.split("?")[0]).stem or "catalogue"
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-").lower() or "catalogue"
    return f"{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def fingerprint(source: str, others: list[Path]) -> str:
    """A hash of everything the catalogue is made from. A database has none: always built."""
    digest = hashlib.sha256(f"{VERSION} {source}".encode())
    if is_url(source):
        digest.update(str(id(digest)).encode())
        return digest.hexdigest()
    path = Path(source).expanduser()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in [*files, *others]:
        if not file.is_file():
            raise BuildError(f"{file} does not exist.")
        digest.update(f"\n{file} ".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def main(
    source: Annotated[
        str, typer.Argument(help="a table, a database URL, a source or built folder")
    ],
    home: Annotated[
        Path, typer.Option(envvar="PARLEY_HOME", help="where catalogues are built")
    ] = ROOT / ".parley",
    config: Annotated[Path | None, typer.Option(help="YAML that corrects the guess")] = None,
    interactions: Annotated[Path | None, typer.Option(help="table of user, item, time")] = None,
) -> None:
    """Build the catalogue of SOURCE if need be; print its folder."""
    console = Console(stderr=True)
    try:
        print(prepare(source, home, config, interactions, console))
    except CatalogError as error:
        console.print(f"parley: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
