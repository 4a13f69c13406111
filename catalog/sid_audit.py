"""The audit of a catalogue's semantic IDs: a table, a picture, and churn against another build.

    python -m catalog.semantic_ids audit DIR [--compare OLD] [--picture FILE.svg]

The picture is SVG written by hand: 256 cells a level and three curves need no plotting
library. Exit status 1 when two items share an ID.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from catalog.errors import CatalogError
from catalog.items import Catalog
from catalog.semantic_ids import Assignment, Codes, assign, perplexity, purity

CODES = 256
HEAD = 0.9  #: quantile of popularity from which an item counts as head


class Level(NamedTuple):
    """One level of the codes in figures; ``counts`` ``(256,)`` items a code."""

    used: int
    perplexity: float
    head: float  #: perplexity over the tenth of the items talked about most
    tail: float
    purity: float | None
    largest: int  #: items under the largest prefix of this depth
    counts: npt.NDArray[np.int64]
    names: list[str]  #: the commonest label of each code, "" for none


def levels_of(catalog: Catalog) -> tuple[list[Level], str | None]:
    """The figures of every level, and the facet that purity is measured against."""
    facets = [f for f in catalog.domain.facets if f.kind == "categories"]
    facet = next((f.name for f in facets if f.role == "category"), None)
    facet = facet or next((f.name for f in facets), None)
    labels = [list(v or ()) for v in catalog.df[facet].to_list()] if facet else []
    head = catalog.popularity >= np.quantile(catalog.popularity, HEAD)
    found = []
    for level in range(catalog.codes.shape[1]):
        column = catalog.codes[:, level]
        prefix = np.ascontiguousarray(catalog.codes[:, : level + 1])
        _, sizes = np.unique(prefix, axis=0, return_counts=True)
        found.append(
            Level(
                len(np.unique(column)),
                perplexity(column),
                perplexity(column[head]),
                perplexity(column[~head]) if not head.all() else float("nan"),
                purity(catalog.codes, labels, level + 1) if facet else None,
                int(sizes.max()),
                np.bincount(column, minlength=CODES),
                commonest(column, labels) if facet and level == 0 else [""] * CODES,
            )
        )
    return found, facet


def commonest(column: npt.NDArray[Any], labels: list[list[str]]) -> list[str]:
    """The label most items of each code carry. Length 256."""
    table = pl.DataFrame({"code": column.astype(np.int64), "label": labels}).explode("label")
    counts = table.drop_nulls().group_by("code", "label").len()
    best = counts.sort("len", "label", descending=[True, False]).unique("code", keep="first")
    names = dict(zip(best["code"], best["label"], strict=True))
    return [str(names.get(code, "")) for code in range(CODES)]


class Churn(NamedTuple):
    """Two builds compared. ``moved[d]``: share of the shared items whose first d + 1 codes
    differ."""

    shared: int
    added: int
    removed: int
    moved: list[float]


def churn(new: Catalog, old: Catalog) -> Churn:
    """What another build did to the IDs of items that are in both."""
    both = [item_id for item_id in new.ids if old.has(item_id)]
    a = new.codes[[new.row(i) for i in both]]
    b = old.codes[[old.row(i) for i in both]]
    depth = min(a.shape[1], b.shape[1])
    moved = [float((a[:, : d + 1] != b[:, : d + 1]).any(axis=1).mean()) for d in range(depth)]
    return Churn(len(both), len(new) - len(both), len(old) - len(both), moved if both else [])


def picture(levels: list[Level], report: Assignment, title: str) -> str:
    """The audit as one SVG: a field of codes, the load of each level, the buckets."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 420" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        '<rect width="960" height="420" fill="#fff"/>',
        f'<text x="24" y="30" font-size="16">Semantic IDs of {escape(title)}</text>',
        '<text x="24" y="56">Level 1: one cell a code, darker = more items</text>',
    ]
    first = levels[0]
    top = max(int(first.counts.max()), 1)
    for code, count in enumerate(first.counts.tolist()):
        x, y = 24 + code % 16 * 20, 66 + code // 16 * 20
        shade = int(245 - 205 * (np.log1p(count) / np.log1p(top)))
        label = escape(f"{code}: {count} items, mostly {first.names[code] or 'unlabelled'}")
        parts.append(
            f'<rect x="{x}" y="{y}" width="19" height="19" fill="rgb({shade},{shade},255)">'
            f"<title>{label}</title></rect>"
        )
    parts += _curves(levels)
    said = (
        f"raw collisions {report.raw_collisions:.1%}, largest raw bucket {report.largest_bucket}, "
        f"moved {report.moved:.1%} at {report.extra_distance:.3f} each"
    )
    parts.append(f'<text x="24" y="408">{escape(said)}</text></svg>')
    return "\n".join(parts) + "\n"


def _curves(levels: list[Level]) -> list[str]:
    """Items a code, codes in order of size, one curve a level; a level curve is even use."""
    left, top, width, height = 400, 66, 520, 320
    peak = max(int(level.counts.max()) for level in levels) or 1
    parts = [
        f'<text x="{left}" y="56">Items a code, largest first (a flat line is even use)</text>',
        f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="#999"/>',
        f'<text x="{left + 4}" y="{top + 12}">{peak}</text>',
    ]
    for number, (level, colour) in enumerate(
        zip(levels, ("#1f5fbf", "#c0562b", "#3a8f4d", "#888"), strict=False), start=1
    ):
        sizes = np.sort(level.counts)[::-1]
        points = " ".join(
            f"{left + width * k / (CODES - 1):.1f},{top + height * (1 - size / peak):.1f}"
            for k, size in enumerate(sizes.tolist())
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        said = f"level {number}: {level.used} codes, perplexity {level.perplexity:.0f}"
        if level.purity is not None:
            said += f", purity {level.purity:.2f}"
        parts.append(
            f'<text x="{left + 200}" y="{top + 18 * number}" fill="{colour}">{said}</text>'
        )
    return parts


app = typer.Typer(add_completion=False, help=__doc__)


@app.callback()
def _room() -> None:
    """Semantic IDs of a built catalogue."""


@app.command()
def audit(
    catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")],
    compare: Annotated[Path | None, typer.Option(help="an earlier build: print churn")] = None,
    picture_to: Annotated[Path, typer.Option("--picture", help="the SVG to write")] = Path(
        "semantic_ids.svg"
    ),
) -> None:
    """Print collisions, use of the codes, purity and churn; exit 1 if IDs are not unique."""
    console = Console()
    try:
        opened = Catalog.open(catalog)
        old = Catalog.open(compare) if compare else None
    except CatalogError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    report = assign(opened.vectors, opened.codebooks)
    levels, facet = levels_of(opened)
    table = Table(
        "level", "codes used", "perplexity", "head", "tail", f"purity ({facet})", "largest"
    )
    for number, level in enumerate(levels, start=1):
        pure = "" if level.purity is None else f"{level.purity:.3f}"
        figures = (f"{x:.1f}" for x in (level.perplexity, level.head, level.tail))
        table.add_row(str(number), str(level.used), *figures, pure, str(level.largest))
    console.print(table)
    final = len(opened) - len(np.unique(opened.codes, axis=0))
    console.print(summary(opened.codes, report, final))
    if old is not None:
        console.print(said_of(churn(opened, old), len(opened)))
    picture_to.write_text(picture(levels, report, opened.domain.name), "utf-8")
    console.print(f"picture: {picture_to}")
    raise typer.Exit(1 if final else 0)


def summary(codes: Codes, report: Assignment, final: int) -> str:
    width = min(codes.shape[1], report.codes.shape[1])
    kept = float((report.codes[:, :width] == codes[:, :width]).all(axis=1).mean())
    return (
        f"{len(codes)} items; raw collisions {report.raw_collisions:.2%}, largest raw bucket "
        f"{report.largest_bucket}; final collisions {final}\n"
        f"moved to another last code: {report.moved:.2%}, extra squared distance "
        f"{report.extra_distance:.4f} each; overflowed into a further code: {report.overflowed}\n"
        f"ids equal to a fresh assignment: {kept:.2%}"
    )


def said_of(change: Churn, items: int) -> str:
    deep = ", ".join(f"{share:.2%} from level {d + 1}" for d, share in enumerate(change.moved))
    return (
        f"churn: {change.shared} of {items} items are in both builds, {change.added} new, "
        f"{change.removed} gone; other codes up to: {deep or 'none shared'}"
    )
