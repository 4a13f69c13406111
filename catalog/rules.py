"""Business rules: what the owner of a catalogue decides, whatever a person says.

A YAML file with up to four lists. A rule names a field (any column of the catalogue) and one
of ``any``, ``all``, ``none``, ``ge``, ``le``, as clauses do (``catalog.filters``)::

    require:                                  # hard: other items are never shown
      - {field: stock, ge: 1}
      - {field: region, any: [EU, CH]}
      - {children: 9}                         # children's mode: advised for 9 or younger
      - {field: age, le: 16, missing: keep}   # without a value: drop (default) or keep
    bury:  [{field: genres, any: [Horror], by: 0.2}]      # weight times 0.2
    boost: [{field: year, ge: 2020, by: 2}]               # weight times 2
    pin:
      - {position: 1, item: "some id"}
      - {position: 3, field: genres, any: [Family]}       # its best item, at place 3

Hard rules are a bitmap that is ANDed after a person's own constraints. They are no clause of
the conversation, so nothing a person says can replace, retract or relax them. Soft ones are
factors on the prior. A pin obeys everything else: an item that is not allowed in this
conversation is not pinned.

    rules = Rules.read(Path("rules.yaml")).compile(catalog)
    allowed &= rules.allowed
    weights *= rules.boost
    rows = rules.place(rows, allowed, weights, n)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from catalog.errors import RuleError
from catalog.filters import OPERATORS, Bitmap, Clause, on_column
from catalog.items import Catalog

Kind = Literal["require", "bury", "boost", "pin"]
Floats = npt.NDArray[np.float64]
OPS = ("any", "all", "none", "ge", "le")
KEYS: dict[str, tuple[str, ...]] = {
    "require": ("field", *OPS, "children", "missing"),
    "bury": ("field", *OPS, "by"),
    "boost": ("field", *OPS, "by"),
    "pin": ("field", *OPS, "position", "item"),
}
PLACES = 20  #: a slate has at most this many
STRONGEST = 100.0  #: a factor beyond this is a pin in disguise
LINE = "__line__"


class Pin(NamedTuple):
    """Position 1-20, and the rows of which the best allowed one stands there."""

    position: int
    rows: npt.NDArray[np.int64]


class CompiledRules(NamedTuple):
    """Rules over one catalogue.

    ``allowed``: ``(N,)`` bool, what the hard rules admit. ``boost``: ``(N,)`` float64 factors
    on the prior, positive. ``pins``: in order of position. ``notes``: rules that match nothing
    here (an item that is gone), in words; they do no harm.
    """

    allowed: Bitmap
    boost: Floats
    pins: tuple[Pin, ...] = ()
    notes: tuple[str, ...] = ()

    def place(
        self, rows: Sequence[int], allowed: Bitmap, weights: npt.NDArray[Any], n: int
    ) -> tuple[int, ...]:
        """A slate in rank order with the pins in their places: at most ``n`` rows, none twice.

        ``rows``: the slate as recommended; ``allowed``: ``(N,)``, everything that holds in this
        conversation: the person's constraints, refusals and what was shown, and these rules;
        ``weights``: ``(N,)``, which of a pin's rows is best. A pin past the slate's length, or
        with no allowed row, is left out.
        """
        chosen: dict[int, int] = {}
        for pin in self.pins:
            open_ = pin.rows[allowed[pin.rows] & self.allowed[pin.rows]]
            open_ = open_[~np.isin(open_, list(chosen.values()))]
            if pin.position <= n and len(open_):
                chosen[pin.position] = int(open_[np.argmax(weights[open_])])
        slate = [row for row in rows if row not in set(chosen.values())]
        for position, row in sorted(chosen.items()):
            slate.insert(position - 1, row)
        return tuple(slate[:n])


class Rule(NamedTuple):
    """One rule as written. ``clause`` is None for a pinned item and for children's mode."""

    kind: Kind
    where: str  #: file and line
    clause: Clause | None = None
    missing: bool = False  #: does an item without a value pass?
    children: float | None = None
    factor: float = 1.0
    position: int = 0
    item: str | None = None


class Rules:
    """The rules of one file, checked for form; ``compile`` checks them against a catalogue."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read a YAML file. ``RuleError`` names the file, the line and the bad value."""
        try:
            data = yaml.load(path.read_text("utf-8"), Loader=_Lines)
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"{path} cannot be read ({error}): check PARLEY_RULES.") from error
        except yaml.YAMLError as error:
            raise RuleError(f"{path} is not valid YAML: {error}") from error
        if data is None:
            return cls()
        if not isinstance(data, dict):
            raise RuleError(f"{path} holds a {type(data).__name__}: lists {_names()} are needed.")
        data.pop(LINE, None)
        return cls.of(data, str(path))

    @classmethod
    def of(cls, data: dict[Any, Any], path: str) -> Rules:
        """Rules as a mapping of lists, ``path`` naming where they stand. ``RuleError`` as above."""
        rules: list[Rule] = []
        for kind, entries in data.items():
            if kind not in KEYS:
                raise RuleError(f"{path}: no kind of rule is called {kind!r}: use {_names()}.")
            if not isinstance(entries, list):
                raise RuleError(f"{path}: {kind} is {entries!r}, a list of rules is needed.")
            for number, entry in enumerate(entries, start=1):
                entry = dict(entry) if isinstance(entry, dict) else entry
                line = entry.pop(LINE, None) if isinstance(entry, dict) else None
                where = f"{path} {f'line {line}' if line else f'{kind} rule {number}'}"
                rules.append(_rule(kind, entry, where))
        taken: dict[int, str] = {}
        for rule in rules:
            if rule.kind == "pin" and taken.setdefault(rule.position, rule.where) != rule.where:
                raise RuleError(
                    f"{rule.where}: position {rule.position} is pinned already "
                    f"({taken[rule.position]}): one pin a position."
                )
        return cls(rules)

    def compile(self, catalog: Catalog) -> CompiledRules:
        """The rules as arrays over a catalogue. ``RuleError`` on an unknown field or a bad value.

        A hard rule on a category that no item has is an error: a typing mistake there must
        not pass for "nothing to forbid". Soft rules and pins that match nothing are notes.
        """
        allowed = catalog.alive.copy()
        boost = np.ones(len(catalog))
        pins: list[Pin] = []
        notes: list[str] = []
        for rule in self.rules:
            if rule.item is not None:
                if catalog.has(rule.item):
                    pins.append(Pin(rule.position, np.array([catalog.row(rule.item)])))
                else:
                    notes.append(f"{rule.where}: no item {rule.item!r} in this catalogue.")
                continue
            bitmap = _bitmap(catalog, rule, notes)
            if rule.kind == "require":
                allowed &= bitmap
                if not allowed.any():
                    raise RuleError(f"{rule.where}: with this rule no item is left to recommend.")
            elif rule.kind == "pin":
                pins.append(Pin(rule.position, np.flatnonzero(bitmap & catalog.alive)))
            else:
                boost[bitmap] *= rule.factor
        return CompiledRules(
            allowed, boost, tuple(sorted(pins, key=lambda p: p.position)), tuple(notes)
        )


def _rule(kind: Kind, entry: Any, where: str) -> Rule:
    """One entry, checked for form."""
    if not isinstance(entry, dict):
        raise RuleError(f"{where}: {entry!r} is no rule: write {{field: ..., any: [...]}}.")
    if unknown := [key for key in entry if key not in KEYS[kind]]:
        near = get_close_matches(str(unknown[0]), KEYS[kind], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(KEYS[kind])}."
        raise RuleError(f"{where}: a {kind} rule has no {unknown[0]!r}: {hint}")
    rule = Rule(kind, where)
    if kind == "pin":
        rule = rule._replace(position=_position(entry, where))
        if "item" in entry:
            if not isinstance(entry["item"], str) or "field" in entry:
                raise RuleError(f"{where}: a pin has either item, one id as text, or a field.")
            return rule._replace(item=entry["item"])
    if "children" in entry:
        age = entry["children"]
        if len(entry) > 1 or not _number(age) or not 0 <= age <= 21:
            raise RuleError(f"{where}: children is {entry!r}, {{children: 0 to 21}} is needed.")
        return rule._replace(children=float(age))
    if kind in ("bury", "boost"):
        rule = rule._replace(factor=_factor(kind, entry.get("by"), where))
    missing = entry.get("missing", "drop")
    if missing not in ("keep", "drop"):
        raise RuleError(f"{where}: missing is {missing!r}: keep or drop is needed.")
    return rule._replace(clause=_clause(entry, where), missing=missing == "keep")


def _clause(entry: dict[str, Any], where: str) -> Clause:
    ops = [op for op in OPS if op in entry]
    if not isinstance(entry.get("field"), str) or len(ops) != 1:
        raise RuleError(
            f"{where}: {entry!r} is no rule: a field (text) and exactly one of "
            f"{', '.join(OPS)} are needed."
        )
    given = entry[ops[0]]
    values = given if isinstance(given, list) else [given]
    if not values or not all(isinstance(v, str) or _number(v) for v in values):
        raise RuleError(f"{where}: {ops[0]} is {given!r}: texts or finite numbers are needed.")
    return Clause.model_validate({"field": entry["field"], "op": ops[0], "values": values})


def _position(entry: dict[str, Any], where: str) -> int:
    position = entry.get("position")
    if type(position) is not int or not 1 <= position <= PLACES:
        raise RuleError(f"{where}: position is {position!r}: a whole number from 1 to {PLACES}.")
    return position


def _factor(kind: Kind, by: Any, where: str) -> float:
    low, high = (0.0, 1.0) if kind == "bury" else (1.0, STRONGEST)
    # To bury by 0 would be a hard rule in soft clothes; `require` says that openly.
    if not _number(by) or not low < by < high:
        raise RuleError(
            f"{where}: {kind} by {by!r}: a number between {low:g} and {high:g} is needed"
            f"{' (to forbid items, use require)' if kind == 'bury' else ''}."
        )
    return float(by)


def _bitmap(catalog: Catalog, rule: Rule, notes: list[str]) -> Bitmap:
    """Items a rule's clause is about. Shape: ``(N,)`` bool."""
    clause, missing = rule.clause, rule.missing
    if clause is None:
        facet = next((f for f in catalog.domain.facets if f.role == "audience"), None)
        if facet is None or facet.kind != "number":
            raise RuleError(
                f"{rule.where}: children's mode needs a number column with the role audience "
                "(the advised age), which this catalogue has not: name it in domain.yaml."
            )
        clause = Clause(field=facet.name, op="le", values=(float(rule.children or 0),))
    df, number = _column(catalog, clause.field, rule.where)
    allowed = OPERATORS["number" if number else "categories"]
    if clause.op not in allowed:
        raise RuleError(
            f"{rule.where}: {clause.op!r} does not apply to {clause.field!r} "
            f"({'numbers' if number else 'texts'}): use one of {', '.join(allowed)}."
        )
    if number:
        if bad := [v for v in clause.values if isinstance(v, str)]:
            raise RuleError(f"{rule.where}: {clause.field!r} holds numbers, got {bad[0]!r}.")
        if clause.op in ("ge", "le") and len(clause.values) != 1:
            raise RuleError(f"{rule.where}: {clause.op} takes one number, got {clause.values}.")
    else:
        known = set(df[clause.field].explode().drop_nulls().unique().to_list())
        for value in clause.values:
            if value in known:
                continue
            near = get_close_matches(str(value), [str(k) for k in known], n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "nothing there is like it."
            said = f"{rule.where}: no item has {clause.field} {value!r}: {hint}"
            if rule.kind == "require":
                raise RuleError(said)
            notes.append(said)
    # An item without a value has not what `none` forbids; in a hard rule that is still a pass.
    return on_column(df, clause, number, missing or clause.op == "none")


def _column(catalog: Catalog, field: str, where: str) -> tuple[pl.DataFrame, bool]:
    """A column as numbers or as lists of texts, and which of both."""
    if field not in catalog.df.columns:
        near = get_close_matches(field, catalog.df.columns, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(catalog.df.columns)}."
        raise RuleError(f"{where}: the catalogue has no field {field!r}: {hint}")
    column = catalog.df[field]
    if column.dtype.is_numeric():
        return catalog.df.select(field), True
    if column.dtype == pl.Boolean:
        return catalog.df.select(pl.col(field).cast(pl.Int8)), True
    if column.dtype == pl.String:
        lists = pl.when(pl.col(field).is_not_null()).then(pl.concat_list(field))
        return catalog.df.select(lists.alias(field)), False
    return catalog.df.select(field), False


class _Lines(yaml.SafeLoader):  # type: ignore[misc]  # yaml ships no types
    """YAML whose mappings know their line."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=True)
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice!r} stands there twice", node.start_mark
            )
        mapping[LINE] = node.start_mark.line + 1
        return mapping


# The base class registered its own construct_mapping under this tag.
_Lines.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _names() -> str:
    return ", ".join(KEYS)
