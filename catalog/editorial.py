"""The editorial layer: what people of the house wrote about items, laid over the facts.

JSON lines, one item a line, keyed by ``id``. A field is a facet of the catalogue, ``title``, or
one of the layer's own: ``premise`` (what it is, in one short sentence), ``themes`` and ``moods``
(lists of tags) and ``scores`` (scale -> 0..4, for scales the config defines). Facts win over the
layer but for the fields a line lists under ``override``; lists are joined, ours first. What rests
on the layer is named in the item's ``editorial`` field, so that a reply can tell.

    {"id": "b-17", "premise": "A lighthouse keeper finds a letter.", "themes": ["sea", "loss"]}

    python -m catalog.editorial CATALOG --editorial FILE        # check a file, change nothing
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import polars as pl
import typer
from rich.console import Console

from catalog.errors import BuildError, CatalogError
from catalog.items import Catalog, Domain, Facet
from catalog.tables import SHOWN, Rejected

Record = dict[str, Any]
PREMISE_WORDS: Final = 30
NOT_FIELDS: Final = frozenset(("id", "override", "scores", "redial"))
#: Fields of the layer that a catalogue need not have: they become facets.
ADDED: Final = {
    "premise": Facet(
        name="premise", role="premise", kind="text", label="premise", plural="premises",
        filterable=False,
    ),
    "themes": Facet(
        name="themes", role="tag", kind="categories", label="theme", plural="themes",
        ask="Is there a subject you would like?",
    ),
    "moods": Facet(name="moods", role="mood", kind="categories", label="mood", plural="moods"),
}  # fmt: skip


class Layer(NamedTuple):
    """``records`` by item id; ``rejected``: lines and fields that cannot be used."""

    records: dict[str, Record]
    rejected: list[Rejected]


class Laid(NamedTuple):
    """A table with the layer over it, its domain, and the scores the layer gives."""

    df: pl.DataFrame
    domain: Domain
    scores: list[dict[str, float]]
    disagreements: list[str]


def read(path: Path, domain: Domain, ids: set[str]) -> Layer:
    """Read and check a layer; bad lines and fields are listed. ``BuildError`` without the file."""
    if not path.is_file():
        raise BuildError(f"{path} does not exist: --editorial names a file of JSON lines.")
    records: dict[str, Record] = {}
    rejected: list[Rejected] = []
    facets = {**ADDED, **{f.name: f for f in domain.facets}}
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            rejected.append(Rejected(number, "", f"is no JSON ({error})", line[:SHOWN]))
            continue
        item = record.get("id") if isinstance(record, dict) else None
        reason = ""
        if not isinstance(item, str) or not item:
            reason = "has no id"
        elif item in records:
            reason = f"repeats the id {item!r}"
        elif item not in ids:
            reason = f"the catalogue has no item {item!r}"
        if reason or not isinstance(item, str):
            rejected.append(Rejected(number, "", reason, line[:SHOWN]))
            continue
        good: Record = {"id": item, "override": record.get("override") or []}
        for field, value in record.items():
            if field in NOT_FIELDS - {"scores"}:
                continue
            wrong = fault(field, value, facets, domain)
            if wrong:
                rejected.append(Rejected(number, field, wrong, str(value)[:SHOWN]))
            elif value not in (None, "", [], {}):
                good[field] = value
        records[item] = good
    return Layer(records, rejected)


def fault(field: str, value: Any, facets: dict[str, Facet], domain: Domain) -> str:
    """What is wrong with one field, in words; "" when nothing is."""
    if value in (None, "", [], {}):
        return ""
    if field == "scores":
        known = [scale.name for scale in domain.scales]
        if not isinstance(value, dict):
            return "scores must be an object: scale -> 0 to 4"
        for name, score in value.items():
            if name not in known:
                return f"no scale {name!r}: the config defines {', '.join(known) or 'none'}"
            if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 4:
                return f"{name} is {score!r}, 0 to 4 is the range"
        return ""
    if field in ("title", "original_title"):
        return "" if isinstance(value, str) else "a text is needed"
    facet = facets.get(field)
    if facet is None:
        return f"no such field: the facets are {', '.join(facets)}"
    if facet.kind == "number":
        good = (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
        return "" if good else "a number is needed"
    if facet.kind in ("categories", "people"):
        values = [value] if isinstance(value, str) else value
        good = isinstance(values, list) and all(isinstance(v, str) and v.strip() for v in values)
        return "" if good else "a list of texts is needed"
    if not isinstance(value, str):
        return "a text is needed"
    if field == "premise" and len(value.split()) > PREMISE_WORDS:
        return f"{len(value.split())} words, {PREMISE_WORDS} are the limit"
    return ""


def lay(df: pl.DataFrame, domain: Domain, layer: Layer) -> Laid:
    """The layer over the facts. ``df`` as in ``items.parquet``, ``domain`` its description."""
    used = {field for record in layer.records.values() for field in record}
    new = [f for name, f in ADDED.items() if name in used and name not in df.columns]
    texts = [f for f in new if f.kind == "text"]
    place = next((i for i, f in enumerate(domain.facets) if f.role == "premise"), None)
    facets = list(domain.facets)
    for facet in new:
        if facet in texts and place is not None:
            facets.insert(place, facet)  # a written premise speaks before a description
        else:
            facets.append(facet)
    rows = {item: row for row, item in enumerate(df["id"].to_list())}
    editorial: list[list[str]] = df["editorial"].fill_null([]).to_list()
    scores: list[dict[str, float]] = [{}] * len(df)
    disagreements: list[str] = []
    for item, record in layer.records.items():
        if "scores" in record:
            scores[rows[item]] = record["scores"]
            editorial[rows[item]] = [*editorial[rows[item]], "scales"]
    columns = []
    kinds = {facet.name: facet.kind for facet in facets}
    for field in ("title", "original_title", *kinds):
        lines = {rows[i]: r for i, r in layer.records.items() if field in r}
        if not lines:
            if field not in df.columns:
                continue
            columns.append(df[field])
            continue
        kind = kinds.get(field, "text")
        held = df[field].to_list() if field in df.columns else [None] * len(df)
        for row, record in lines.items():
            force = field in record["override"]
            value, ours = merged(held[row], record[field], kind, force)
            if kind != "text" and not ours and not force and disagree(held[row], record[field]):
                disagreements.append(f"{record['id']}: {field}: {record[field]!r} != {held[row]!r}")
            held[row] = value
            if ours and field != "original_title":
                editorial[row] = list(dict.fromkeys([*editorial[row], field]))
        columns.append(pl.Series(field, held, dtype=_dtype(df, field, kind)))
    done = df.with_columns(*columns, pl.Series("editorial", editorial, dtype=pl.List(pl.String)))
    vector = [f.name for f in new if f.name not in domain.vector_text]
    update: dict[str, Any] = {"facets": facets}
    if vector:
        update["vector_text"] = [*domain.vector_text[:1], *vector, *domain.vector_text[1:]]
    if "premise" in done.columns:
        update["about_text"] = ["premise", *(f.name for f in facets if f.role in ("tag", "mood"))]
    changed = domain.model_copy(update=update)
    return Laid(done, changed, scores, disagreements)


def _dtype(df: pl.DataFrame, field: str, kind: str) -> Any:
    if kind in ("categories", "people"):
        return pl.List(pl.String)
    if kind == "number":
        return pl.Float64
    return pl.String


def merged(fact: Any, ours: Any, kind: str, force: bool) -> tuple[Any, bool]:
    """The value after the layer, and whether it rests on it."""
    if kind in ("categories", "people"):
        written = [ours] if isinstance(ours, str) else list(ours)
        facts = [] if force or fact is None else list(fact)
        both = list(dict.fromkeys([*written, *facts]))
        return both, bool(set(both) - set(facts))
    if fact is None or force:
        return (float(ours) if kind == "number" else ours), True
    return fact, False


def disagree(fact: Any, ours: Any) -> bool:
    return isinstance(fact, int | float) and isinstance(ours, int | float) and fact != ours


def main(
    catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")],
    editorial: Annotated[Path, typer.Option(help="the layer, JSON lines keyed by id")],
) -> None:
    """Check a layer against a catalogue; exit 1 when a line or field cannot be used."""
    console = Console(soft_wrap=True)
    try:
        opened = Catalog.open(catalog)
        layer = read(editorial, opened.domain, set(opened.ids))
        laid = lay(opened.df, opened.domain, layer)
    except CatalogError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(1) from error
    for one in layer.rejected:
        where = f"line {one.line}" + (f", {one.column}" if one.column else "")
        console.print(f"FORM  {where}: {one.reason}: {one.value[:80]}", markup=False)
    for text in laid.disagreements:
        console.print(f"FACT  {text}", markup=False)
    console.print(f"{len(layer.records)} items, {len(layer.rejected)} faults", markup=False)
    raise typer.Exit(1 if layer.rejected else 0)


if __name__ == "__main__":
    typer.run(main)
