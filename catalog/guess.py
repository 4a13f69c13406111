"""Guess what the columns of a stranger's table are for, and say why.

Every column is measured on a sample (how many cells are numbers, dates, links, lists; how many
differ; how long they are), its heading is looked up, and the two are weighed. The result is a
``Config`` with a reason a column: printed, it is the file that corrects it.

    guess = guess_config(table.df, "boots.csv", usual=".")
    print(to_yaml(guess.config, guess.reasons, "..."))
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from catalog import cells
from catalog.columns import Facts, look
from catalog.config import ONCE, Column, Config
from catalog.details import detail, nouns_of
from catalog.errors import BuildError
from catalog.headers import THINGS, Heading, heading, plural, singular

MOST: Final = 0.9  # of the cells must be numbers for a column of numbers
SOME: Final = 0.6  # is enough where the heading says so
FEW_WORDS: Final = 6  # a text of more words on average is prose


class Guess(NamedTuple):
    """A config and, for each column, why."""

    config: Config
    reasons: dict[str, str]


def guess_config(
    df: pl.DataFrame, source: str, usual: str = ".", given: Config | None = None
) -> Guess:
    """Uses for all columns of a table of texts; those ``given`` names are taken as they are.

    ``usual``: the decimal mark where a column leaves it open. ``source``: where the table came
    from; its last part names the items unless the config does.
    """
    given = given or Config()
    absent = [name for name in given.columns if name not in df.columns]
    if absent:
        raise BuildError(
            f"The config names a column {absent[0]!r} that the table lacks; it has "
            f"{', '.join(map(repr, df.columns))}."
        )
    facts = {name: look(df[name], usual) for name in df.columns}
    heads = {name: heading(name) for name in df.columns}
    columns: dict[str, Column] = {}
    reasons: dict[str, str] = {}
    votes: dict[str, tuple[str, str, float]] = {}
    for name in df.columns:
        if name in given.columns:
            columns[name] = given.columns[name]
            reasons[name] = "as you said"
        else:
            votes[name] = decide(heads[name], facts[name])
    taken: set[str] = {c.use for c in columns.values()}
    settled = settle(votes, facts, heads, taken)
    for name in df.columns:
        if name in settled:
            use, why = settled[name]
            columns[name] = detail(use, heads[name], facts[name])
            if use == "price" and columns[name].unit is None:
                why += "; no currency is seen, add one: `unit: €`"
            reasons[name] = why
    noun, nouns = nouns_of(source, next((n for n, c in columns.items() if c.use == "title"), ""))
    noun = given.noun or (singular(given.nouns) if given.nouns else noun)
    nouns = given.nouns or (plural(given.noun) if given.noun else nouns)
    ordered = {name: columns[name] for name in df.columns}
    update = {"noun": noun, "nouns": nouns, "columns": ordered}
    return Guess(given.model_copy(update=update), reasons)


def decide(head: Heading, facts: Facts) -> tuple[str, str, float]:
    """The use of one column, why, and how sure (0-4)."""
    if not facts.sample:
        return "ignore", "empty", 4
    named = f'heading "{head.words}"'
    numeric = facts.numbers >= MOST
    for use, weight in head.uses:
        if fits(use, facts, weight):
            return use, f"{named}{evidence(use, facts)}", float(weight)
    if head.weight("ignore") and (numeric or facts.codes > 0.5 or facts.dates > 0.5):
        return "ignore", f"{named}: nothing to talk about", 2
    if facts.images > 0.8:
        return "image", f"{facts.images:.0%} end like an image file", 3
    if facts.links > 0.8:
        return "link", f"{facts.links:.0%} are links", 3
    if facts.distinct == 1 and facts.rows > 1:
        return "ignore", "one value only", 3
    if facts.truths > 0.95 and facts.distinct <= 3 and not facts.is_list:
        return "yes/no", "yes or no", 3
    if facts.dates > 0.8:
        return "date", f"{facts.dates:.0%} are dates; kept as years", 2
    unit = facts.unit or head.unit
    counted = unit is None or unit.family in THINGS
    if numeric and facts.ranges > 0.3 and counted and facts.high <= 200:
        return "tags", f"ranges such as {facts.sample[0]!r}: every number in them", 2
    if numeric:
        return _number(head, facts)
    return _words(facts)


def fits(use: str, facts: Facts, weight: int) -> bool:
    """Can the values be what the heading says? A heading that says it outright may err more."""
    numeric = facts.numbers >= (SOME if weight > 1 else MOST)
    words = facts.is_list or not numeric
    match use:
        case "id":
            apart = facts.unlike > (SOME if weight > 1 else MOST)
            return not facts.is_list and apart and facts.words < 3
        case "title":
            return not facts.is_list and facts.words <= 15 and facts.links < 0.5
        case "text":
            return not facts.is_list and facts.words >= 2 and not numeric and facts.links < 0.5
        case "rating":
            return numeric and facts.high <= 100
        case "price" | "number" | "popularity":
            return numeric
        case "stock":
            return numeric or facts.truths > 0.9
        case "date":
            dated = facts.years + facts.dates
            return dated > (SOME if weight > 1 else 0.8) or (
                numeric and facts.whole > 0.98 and facts.low > -4000 and facts.high <= 2100
            )
        case "audience":
            return numeric and facts.high <= 120
        case "size":
            return facts.is_list or facts.words < 4
        case "image":
            return facts.images + facts.links > 0.5 and not facts.is_list
        case "link":
            return facts.links > 0.5
        case "maker" | "people" | "origin" | "mood":
            return words and facts.sentences < 0.3
        case "category" | "language":
            return words and facts.sentences < 0.3 and facts.links < 0.5
        case "tags":
            return words and facts.sentences < 0.3 and facts.truths < 0.9
        case _:
            return use == "ignore"


def evidence(use: str, facts: Facts) -> str:
    """What in the values spoke for the use, for the comment."""
    if use == "id":
        return f", {facts.unlike:.0%} differ"
    if use in ("price", "number", "rating", "stock", "popularity", "audience", "date"):
        if facts.numbers:
            return f", numbers in {facts.numbers:.0%} of cells, such as {facts.sample[0]!r}"
        return f", such as {facts.sample[0]!r}"
    if use in ("category", "tags", "maker", "people", "size", "origin", "language", "mood"):
        if facts.separator:
            shown = {"list": "a list", "json": "JSON lists", "\n": "line breaks"}
            by = shown.get(facts.separator, f"split at {facts.separator!r}")
            return f", {by}: {facts.parts} values"
        return f", {facts.distinct} values"
    return ""


def _number(head: Heading, facts: Facts) -> tuple[str, str, float]:
    unit = head.unit or facts.unit
    shown = f"numbers in {facts.numbers:.0%} of cells, such as {facts.sample[0]!r}"
    if cells.is_money(unit):
        return "price", f"{shown}: an amount of money", 2
    if unit is not None:
        return "number", f"{shown}; unit {unit.shown}", 2
    if facts.years > 0.95 and facts.whole == 1:
        return "date", f"{facts.years:.0%} are years", 2
    counted = facts.low in (0, 1) and facts.high - facts.low < facts.filled
    if facts.unlike == 1 and facts.whole == 1 and counted and facts.filled > 2:
        return "ignore", "the numbers of the rows", 2
    if facts.unlike > 0.98 and facts.whole == 1 and facts.filled > 20 and facts.high > 50:
        return "ignore", "a different whole number in every row: looks like a key", 1
    return "number", shown, 1


def _words(facts: Facts) -> tuple[str, str, float]:
    """The use of a column of words whose heading says nothing."""
    if facts.sentences > 0.3 or facts.words > FEW_WORDS:
        return "text", f"sentences, {facts.words:.0f} words on average", 2
    if facts.separator:
        return "tags", evidence("tags", facts).lstrip(", "), 2
    if facts.codes > 0.8 and facts.unlike > 0.9:
        return "id", f"codes, {facts.unlike:.0%} differ", 1
    if facts.unlike <= 0.5 or facts.distinct <= 12:
        if facts.distinct <= max(30, 0.05 * facts.filled):
            return "category", f"{facts.distinct} values that repeat", 1
        if facts.names > 0.7:
            return "people", f"{facts.names:.0%} look like names", 1
        return "tags", f"{facts.distinct} values that repeat", 1
    if facts.names > 0.7 and facts.unlike < 0.9:
        return "people", f"{facts.names:.0%} look like names", 1
    return "title", "short texts that nearly all differ", 0


def settle(
    votes: dict[str, tuple[str, str, float]],
    facts: dict[str, Facts],
    heads: dict[str, Heading],
    taken: set[str],
) -> dict[str, tuple[str, str]]:
    """One title, one id, one price and so on: the surest column, the others something else."""
    out = {name: (use, why) for name, (use, why, _) in votes.items()}
    order = {name: place for place, name in enumerate(votes)}
    for use in ONCE:
        rivals = [name for name, (u, _) in out.items() if u == use]
        rivals.sort(key=lambda n: (-votes[n][2], -facts[n].coverage * (use != "id"), order[n]))
        if use == "id":
            rivals = [n for n in rivals if facts[n].coverage > 0.5]
            rivals.sort(key=lambda n: (-_whole(facts[n]), votes[n][2] < 2, order[n]))
            for name in [n for n, (u, _) in out.items() if u == use and n not in rivals]:
                out[name] = ("ignore", f"{out[name][1]}; too often missing for an id")
        for name in rivals[0 if use in taken else 1 :]:
            out[name] = instead(use, facts[name], heads[name], out[name][1])
    if "title" not in taken and all(use != "title" for use, _ in out.values()):
        best = _title_after_all(out, facts, votes)
        if best is not None:
            out[best] = ("title", "no heading says title; these texts tell the items apart best")
    return out


def _whole(facts: Facts) -> float:
    """How nearly every row has a value of its own."""
    return round(facts.unlike, 2) + round(facts.coverage, 2)


def instead(use: str, facts: Facts, head: Heading, why: str) -> tuple[str, str]:
    """What a column is when another one has its use."""
    if use == "price":
        return "number", f"{why}; another column is the price"
    if use == "title":
        if facts.unlike < 0.5:
            again = _words(facts)
            return (again[0], again[1]) if again[0] not in ("title", "id") else ("ignore", why)
        if facts.words > 3:
            return "text", f"{why}; another column is the title"
    if use == "stock" and facts.numbers >= MOST:
        return "number", f"{why}; another column is the stock"
    return "ignore", f"{why}; another column is the {use}"


def _title_after_all(
    out: dict[str, tuple[str, str]],
    facts: dict[str, Facts],
    votes: dict[str, tuple[str, str, float]],
) -> str | None:
    """The column of words that tells the items apart best, when none is called a title."""
    best: str | None = None
    best_score = -1.0
    for place, (name, (use, _)) in enumerate(out.items()):
        seen = facts[name]
        if not seen.sample or seen.is_list or seen.links > 0.5 or seen.images > 0.5:
            continue
        if seen.dates + seen.years > 0.5:  # a day is no name, however well it tells rows apart
            continue
        score = seen.unlike * seen.coverage - 0.01 * place - 0.3 * (seen.numbers > 0.5)
        score -= 0.05 * max(0.0, seen.words - 10) + 0.3 * (use == "id") + 0.2 * (votes[name][2] > 2)
        if score > best_score:
            best, best_score = name, score
    return best
