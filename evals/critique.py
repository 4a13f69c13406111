"""How exactly single turns are read: what was said, against what a person would say was said.

    python -m evals.critique tests/critique/*.yaml [--arm rules|encoder|both] [--failed]

A file is named after its domain (films, books, outdoor) and holds ``slates`` and ``turns`` by
category; one turn is a flow mapping:

    {at: space, held: "year>=2000", spoke: 3, say: "newer than that", add: "year>=2009"}

``at``: the slate on screen; ``held``: clauses believed; ``spoke``: the item asked about before.
``add``: clauses, with ``|`` between the values of one; ``wish``: ``pace+ humour-``, ``@2`` where
it is relative to that item; ``m``: ``like 1; rel 2``, by place, ``|`` between readings that are
both right; ``retract``: facets; ``n``: how many; ``about``: words to search by, ``avoid``:
subjects refused; ``i``: the intent; ``scope``: always, else now; ``q``: ``kind field places
direction``, with ``qc`` for its clauses. What is absent must not have been read; ``loose`` names
what is not looked at, and the intent is looked at only where ``i`` stands. An item of the slate
that is only pointed at is no statement.

A turn counts when all of it is right. Shares come with Wilson's interval of 95 %; the last line
is JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast, get_args

import typer
import yaml
from rich.console import Console
from rich.table import Table

from agent.encoder import Encoder
from agent.settings import Settings, stay_local
from agent.state import Beliefs, DialogueState, Question, Slate, StateUpdate, Turn
from agent.understand import understand
from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.filters import Clause
from catalog.items import Catalog
from tools.find_title import TitleLinker

Arm = Literal["rules", "encoder", "both"]
Said = set[tuple[str, str, frozenset[float | str]]]
DATA = Path(__file__).parents[1] / "catalog" / "data"
FOLDERS = {"films": "movies"}
Z = 1.96  # of a 95 % interval


class Case(NamedTuple):
    """One turn with its context; ``spec`` is the mapping as it was written."""

    category: str
    spec: dict[str, Any]
    shown: tuple[str, ...]  # item ids
    held: str
    fields: frozenset[str]  # what the catalogue's columns hold


class Outcome(NamedTuple):
    domain: str
    category: str
    say: str
    wrong: tuple[str, ...]  # what was not read as written; empty: all of it was


def read_cases(path: Path, catalog: Catalog) -> Iterator[Case]:
    """The turns of a file. ``ParleyError`` names the file and what in it cannot be used."""
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
        slates, turns = loaded["slates"], loaded["turns"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ParleyError(f"{path} is no file of turns with slates: {error}") from error
    ids = {name: tuple(_item(catalog, t, path) for t in s["items"]) for name, s in slates.items()}
    fields = frozenset([f.name for f in catalog.domain.facets] + list(catalog.scales))
    for category, several in turns.items():
        for spec in several:
            on = spec.get("at", "")
            if on and on not in ids:
                raise ParleyError(f"{path}: {spec['say']!r} is on the slate {on!r}, not there.")
            held = [slates[on].get("held", "") if on else "", spec.get("held", "")]
            yield Case(category, spec, ids.get(on, ()), "; ".join(filter(None, held)), fields)


def _item(catalog: Catalog, named: str, path: Path) -> str:
    """The id of "Alien 1979", or of a title as it stands."""
    frame = catalog.df.select("id", "title", *(["year"] if "year" in catalog.df.columns else []))
    for row in frame.iter_rows(named=True):
        if named == row["title"] or named == f"{row['title']} {row.get('year')}":
            return str(row["id"])
    raise ParleyError(f"{path} shows {named!r}, which the catalogue does not hold.")


def clauses(written: str) -> tuple[Clause, ...]:
    """ "year>=2000; genres any A|B" as clauses."""
    out = []
    for part in filter(None, (p.strip() for p in written.split(";"))):
        m = re.fullmatch(r"(\w+)\s*(>=|<=|any|all|none)\s*(.+)", part)
        if m is None:
            raise ParleyError(f"{part!r} is no clause: write `year>=2000` or `genres any A|B`.")
        field, sign, rest = m.groups()
        op: Any = {">=": "ge", "<=": "le"}.get(sign, sign)
        values = tuple(float(v) if re.fullmatch(r"-?[\d.]+", v) else v for v in rest.split("|"))
        out.append(Clause(field=field, op=op, values=values))
    return tuple(out)


def state_of(case: Case) -> DialogueState:
    """The state in which the turn is said."""
    turns: list[Turn] = []
    slate = Slate(item_ids=case.shown)
    if case.shown:
        turns.append(Turn(role="agent", text="Here you are.", act="recommend", slate=slate))
    if "spoke" in case.spec:
        about = Question(kind="about", item_ids=(case.shown[case.spec["spoke"] - 1],))
        update = StateUpdate(intent="ask_fact", question=about)
        turns.append(Turn(role="user", text="What is it about?", update=update))
        turns.append(Turn(role="agent", text="That.", act="answer"))
    turns.append(Turn(role="user", text=case.spec["say"]))
    return DialogueState(turns=turns, slate=slate, beliefs=Beliefs(clauses=clauses(case.held)))


def wrong(case: Case, got: StateUpdate) -> tuple[str, ...]:
    """What of the turn was not read as it is written down."""
    spec, out = case.spec, []
    loose = set(spec.get("loose", "").split())
    if "i" in spec and got.intent not in spec["i"].split("|"):
        out.append(f"intent {got.intent}")
    if "add" not in loose and not _same_clauses(spec.get("add", ""), got.add):
        out.append("clauses " + ", ".join(_text(c) for c in got.add))
    if "wish" not in loose:
        out += _wishes(case, got)
    if not loose & {"m"} and "q" not in spec:
        out += _mentions(case, got)
    if set(got.retract) != set(spec.get("retract", "").split()):
        out.append(f"retract {got.retract}")
    if got.count != spec.get("n"):
        out.append(f"count {got.count}")
    for name in ("about", "avoid"):
        texts = " ".join(a.text.casefold() for a in getattr(got, name))
        words = spec.get(name, "").split()
        if name not in loose and (bool(texts) != bool(words) or any(w not in texts for w in words)):
            out.append(f"{name} {texts!r}")
    if got.unknown:
        out.append(f"unknown {got.unknown}")
    scopes = {x.scope for x in (*got.add, *got.wishes, *got.avoid)}
    if scopes - {spec.get("scope", "now")}:
        out.append(f"scope {sorted(scopes)}")
    return (*out, *_question(case, got.question))


def _said(several: Iterable[Clause]) -> Said:
    """Clauses to compare: of one value "any" and "all" are the same."""
    return {
        (c.field, "any" if c.op == "all" and len(c.values) == 1 else c.op, frozenset(c.values))
        for c in several
    }


def _same_clauses(written: str, got: Iterable[Clause]) -> bool:
    """Are these the clauses, or one of the readings of a single number?"""
    numbers = re.fullmatch(r"(\w+(?:>=|<=)[\d.]+)(?:\|\w+(?:>=|<=)[\d.]+)+", written)
    readings = written.split("|") if numbers else [written]
    return any(_said(clauses(one)) == _said(got) for one in readings)


def _text(clause: Clause) -> str:
    return f"{clause.field} {clause.op} {'|'.join(map(str, clause.values))}"


def _wishes(case: Case, got: StateUpdate) -> list[str]:
    wanted = set(case.spec.get("wish", "").split())
    have = {f"{w.scale}{'+' if w.direction > 0 else '-'}" for w in got.wishes}
    if {w.split("@")[0] for w in wanted} != have:
        return [f"wishes {sorted(have)}"]
    for w in wanted:
        name, _, place = w.partition("@")
        anchor = case.shown[int(place) - 1] if place else None
        if place and not any(
            x.relative_to == anchor and name.startswith(x.scale) for x in got.wishes
        ):
            return [f"{name} is not relative to {place}"]
    return []


def _mentions(case: Case, got: StateUpdate) -> list[str]:
    place = {i: n for n, i in enumerate(case.shown, 1)}
    have = {
        f"{'rel' if m.relative else m.attitude} {place.get(m.item_id, m.item_id)}"
        for m in got.mentions
        if m.relative or m.attitude != "neutral" or m.item_id not in place  # pointing says nothing
    }
    wanted = [w.strip() for w in case.spec.get("m", "").split(";") if w.strip()]
    fits = len(have) == len(wanted) and all(set(w.split("|")) & have for w in wanted)
    return [] if fits else [f"mentions {sorted(have)}"]


def _question(case: Case, got: Question | None) -> list[str]:
    written = case.spec.get("q")
    if written is None:
        return [f"question {got.kind} {got.field}"] if got is not None else []
    if got is None:
        return ["no question"]
    fits = any(_asks(case, got, one.split(" ")) for one in written.split("|"))
    fits = fits and _said(clauses(case.spec.get("qc", ""))) == _said(got.clauses)
    place = {i: n for n, i in enumerate(case.shown, 1)}
    told = [place.get(i, i) for i in got.item_ids]
    asked = f"question {got.kind} {got.field} {told} {got.direction} {got.over}"
    return [] if fits else [" ".join([asked, *map(_text, got.clauses)])]


def _asks(case: Case, got: Question, written: list[str]) -> bool:
    kind, field, places, direction = (*written, *["0"] * (4 - len(written)))[:4]
    if got.kind != kind:
        return False
    if field == "?" and got.field in case.fields:
        return False  # it is something that no column holds
    if field not in ("?", "0", "-") and got.field != field:
        return False
    if direction != "0" and got.direction != int(direction):
        return False
    if places == "-":
        return got.over == "catalogue"
    meant = tuple(case.shown[int(p) - 1] for p in places.split(",") if p != "0")
    return set(got.item_ids) in ({*meant}, {*(meant or case.shown)}) and got.over == "slate"


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's interval of 95 % for ``right`` of ``n``. Raises nothing; ``n`` 0 gives (0, 1)."""
    if n == 0:
        return 0.0, 1.0
    share, square = right / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def run(path: Path, encoder: Encoder | None = None, arm: Arm = "rules") -> list[Outcome]:
    """Every turn of one file, read in its context."""
    domain = path.stem.split("_")[0]
    catalog = Catalog.open(DATA / FOLDERS.get(domain, domain))
    linker = TitleLinker(catalog)
    out = []
    for case in read_cases(path, catalog):
        got = understand(case.spec["say"], state_of(case), catalog, linker, encoder, arm=arm)
        out.append(Outcome(domain, case.category, case.spec["say"], wrong(case, got)))
    return out


def summarise(outcomes: list[Outcome]) -> dict[str, dict[str, float]]:
    """Share read exactly, by category, by domain and over all, with its interval."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for o in outcomes:
        for name in (o.category, o.domain, "all"):
            groups[name].append(not o.wrong)
    out = {}
    for name, exact in groups.items():
        low, high = wilson(sum(exact), len(exact))
        share = sum(exact) / len(exact)
        out[name] = {"n": len(exact), "exact": share, "low": round(low, 4), "high": round(high, 4)}
    return out


def main(
    files: Annotated[list[Path], typer.Argument(help="YAML files of turns, one a domain.")],
    arm: Annotated[str, typer.Option(help="rules, encoder or both.")] = "both",
    failed: Annotated[bool, typer.Option(help="Print what was not read exactly.")] = False,
) -> None:
    """Share of turns read exactly, by category."""
    stay_local()
    try:
        if arm not in get_args(Arm):
            raise ParleyError(f"--arm {arm!r}: choose {', '.join(get_args(Arm))}.")
        encoder = None
        if arm != "rules":
            settings = Settings.load()
            encoder = Encoder.load(settings.model / "understander", Embedder(threads=1))
        outcomes = [o for f in files for o in run(f, encoder, cast(Arm, arm))]
    except ParleyError as error:
        typer.echo(f"critique: {error}", err=True)
        raise typer.Exit(2) from error
    if failed:
        for o in outcomes:
            if o.wrong:
                print(f"[{o.domain} {o.category}] {o.say!r}: {'; '.join(o.wrong)}")
    summary = summarise(outcomes)
    table = Table("group", "turns", "exact", "95 %")
    for name, row in summary.items():
        table.add_row(
            name, f"{row['n']:.0f}", f"{row['exact']:.1%}", f"{row['low']:.2f}-{row['high']:.2f}"
        )
    Console().print(table)
    print(json.dumps({"arm": arm, **summary}))


if __name__ == "__main__":
    typer.run(main)
