"""The rows on which the small talker learns to speak: briefs and sentences with slots.

A sentence comes from our own grammar (``reply_grammar/*.yaml``), its brief from the real
catalogue or from a set of slots, and its prompt from ``agent.talker.small_prompt``, the
very function that serves. Every sentence passes ``agent.verify`` before it is written, so
the model is never taught what the verifier would refuse. Some lines of every rule are kept
back: the validation rows are those that need one.

    python -m training.reply_rows --catalog catalog/data/movies --out DIR
"""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agent.talker import required, small_prompt
from agent.verify import COUNTING, Verifier
from catalog.items import Catalog
from training.reply_grammar import Grammar, GrammarError, Scene, tidy
from training.reply_grammar.briefs import Case, Cases

VALIDATION_SHARE = 0.05
#: Longest sentence, in slots, words and stops: the talker stops at 44 tokens.
MAX_PIECES = 34
PIECE = re.compile(r"<[^<>]+>|[^\W\d_]+(?:'[a-z]+)?|[.,;:!?]")
TRIES = 300
#: Chances a validation case gets to rest on a held-out line, so that every act is validated.
FOR_HELDOUT = 12


class Row(NamedTuple):
    prompt: str
    completion: str
    act: str
    case: Case


class Speaker:
    """Says cases with the grammar, and lets only verified sentences pass."""

    def __init__(self, grammar: Grammar, verifier: Verifier, rng: random.Random) -> None:
        self.grammar = grammar
        self.verifier = verifier
        self.rng = rng

    def row(self, case: Case, heldout: bool) -> Row | None:
        """One row, or None where chance did not lead to (or away from) a held-out line.

        Raises:
            GrammarError: the grammar cannot say this case in a way that the verifier passes.
        """
        brief = case.brief
        if case.rule.startswith("chat."):
            brief = brief.model_copy(update={"said": self._user(case.rule)})
        scene = Scene(
            offered=frozenset(brief.slots),
            scopes=case.ties,
            subject="subject.title" if brief.act == "why" else "subject.card",
            allow_heldout=heldout,
        )
        rule = f"{case.rule}.reply" if brief.act == "chat" else case.rule
        must = required(brief)
        asked = {s for s in brief.slots if s[1] in "cum" and s != "<count>"}
        complaint = "no sentence uses the slots it must"
        for _ in range(TRIES):
            said = self.grammar.say(rule, self.rng, scene)
            held = set(scene.used)
            if not all(any(set(a) <= held for a in group) for group in must):
                continue
            if brief.act in ("intro", "refine") and asked and not asked & held:
                continue
            if "<c2>" in brief.slots and "<c2>" not in held and brief.act in ("recommend", "why"):
                continue  # an exclusion that is not spoken of is no reason
            if len(PIECE.findall(said.text)) > MAX_PIECES:
                continue
            if heldout and not said.heldout:
                return None
            verdict = self.verifier.check(said.text, brief)
            if verdict.ok:
                case = case._replace(brief=brief)
                return Row(small_prompt(brief), said.text, brief.act, case)
            complaint = f"{said.text!r} is refused: {verdict.complaint}"
        raise GrammarError(
            f"{rule!r} {case.ties} with {brief.slots} fails {TRIES} times; {complaint}. "
            "Change or add a line in reply_grammar/*.yaml."
        )

    def _user(self, rule: str) -> str:
        scene = Scene(offered=frozenset({"<m1>"}), allow_heldout=True)
        text = self.grammar.say(f"{rule}.user", self.rng, scene).text
        text = text.replace("<m1>", "that one")
        return as_typed(text, self.rng)


def as_typed(text: str, rng: random.Random) -> str:
    """The same words as different people type them: case, stops, a slip of the finger."""
    if rng.random() < 0.12:
        text = rng.choice(("hey", "oh", "well", "so", "ah", "um", "hi", "ok")) + " " + text
    text = tidy(text) if rng.random() < 0.4 else text.lower()
    draw = rng.random()
    if draw < 0.4:
        text = text.rstrip("?.")
    elif draw < 0.5 and text[-1] not in "?.!":
        text += rng.choice((".", "!", "!!", "..."))
    if rng.random() < 0.3:
        text = text.replace("'", "")
    if rng.random() < 0.06 and len(text) > 8:
        k = rng.randrange(2, len(text) - 2)
        if text[k].isalpha() and text[k + 1].isalpha():
            text = text[:k] + text[k + 1] + text[k] + text[k + 2 :]
    return text[:80]


def check_words(grammar: Grammar, verifier: Verifier) -> None:
    """No line of a reply may hold a word that this catalogue's verifier takes for a claim.

    Raises:
        GrammarError: names the words and their rules.
    """
    claims = verifier.lexicon - COUNTING
    found = sorted(
        f"{word!r} in {rule}"
        for rule, word in grammar.words()
        if word in claims and not rule.endswith(".user")
    )
    if found:
        raise GrammarError(f"Claims in plain words: {', '.join(found)}. Say it another way.")


def generate(catalog: Catalog, n: int, seed: int) -> tuple[list[Row], list[Row]]:
    """``n`` rows as (train, validation); the latter are new sentences on held-out lines.

    Training rows may repeat: an act with few prompts keeps its share all the same.
    """
    rng = random.Random(seed)
    grammar = Grammar.read()
    verifier = Verifier(catalog)
    check_words(grammar, verifier)
    speaker = Speaker(grammar, verifier, rng)
    source = Cases(catalog, grammar, rng)
    valid_rows = round(n * VALIDATION_SHARE)
    train: list[Row] = []
    while len(train) < n - valid_rows:
        if (row := speaker.row(source.draw(), heldout=False)) is not None:
            train.append(row)
    seen = {row.completion for row in train}
    valid: list[Row] = []
    while len(valid) < valid_rows:
        case = source.draw()
        for _ in range(FOR_HELDOUT):
            row = speaker.row(case, heldout=True)
            if row is not None and row.completion not in seen:
                seen.add(row.completion)
                valid.append(row)
                break
    return train, valid


def write(rows: Iterable[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            record = {"task": "reply", "prompt": row.prompt, "completion": row.completion}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def distinct(texts: Sequence[str], n: int) -> float:
    """Share of word n-grams that are different ones. Source: Li et al. 2016 (distinct-n)."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = PIECE.findall(text.lower())
        grams.update(zip(*(words[k:] for k in range(n)), strict=False))
    return len(grams) / max(sum(grams.values()), 1)


def statistics(rows: Sequence[Row]) -> Table:
    """Rows, different sentences, distinct-1/2/3 over a thousand, and mean words, per act."""
    by_act: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_act[row.act].append(row.completion)
    by_act["all"] = [row.completion for row in rows]
    table = Table("act", "rows", "sentences", "distinct-1", "distinct-2", "distinct-3", "words")
    for act, texts in sorted(by_act.items(), key=lambda kv: -len(kv[1])):
        words = [len([p for p in PIECE.findall(t) if p[0] not in ".,;:!?"]) for t in texts]
        sample = texts[:1000]
        table.add_row(
            act,
            str(len(texts)),
            str(len(set(texts))),
            *(f"{distinct(sample, k):.3f}" for k in (1, 2, 3)),
            f"{sum(words) / len(words):.1f}",
        )
    return table


def main(
    catalog: Annotated[Path, typer.Option(help="folder of a built catalogue")],
    out: Annotated[Path, typer.Option(help="folder for reply.train.jsonl and reply.valid.jsonl")],
    n: Annotated[int, typer.Option(help="rows in all", min=100)] = 60_000,
    seed: Annotated[int, typer.Option(help="the same seed gives the same rows")] = 0,
) -> None:
    """Write the reply rows and print what they are made of."""
    train, valid = generate(Catalog.open(catalog), n, seed)
    out.mkdir(parents=True, exist_ok=True)
    write(train, out / "reply.train.jsonl")
    write(valid, out / "reply.valid.jsonl")
    console = Console(stderr=True)
    console.print(statistics(train))
    console.print(f"{len(train)} training and {len(valid)} validation rows in {out}")


if __name__ == "__main__":
    typer.run(main)
