"""A small random grammar for sentences with slots.

Each ``*.yaml`` here is a tree of rules; a rule is a block of lines and each line is one
alternative. In a line ``(a|b)`` chooses, ``[a]`` is said or not, ``{rule}`` is another
rule, ``{1:rule}`` is a rule read for the first tie of the sentence, ``{+<c1>}`` asks that
a slot be on offer without writing it (``{-<c1>}`` that it is not), and ``3*`` in front
makes a line three times as likely. A slot that is not on offer, or is used already, makes
a branch impossible; another one is tried. So one grammar serves every set of slots.

    grammar = Grammar.read()
    grammar.say("bye", offered=frozenset(), rng=random.Random(0))
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

FOLDER = Path(__file__).parent
#: Rules with at least this many lines keep some of them back for validation.
MIN_FOR_HELDOUT = 7
HELDOUT_SHARE = 0.06
TOKEN = re.compile(r"<[^<>]+>|\{[^{}]*\}|[()\[\]|]|[^<{()\[\]|]+")
TRIES = 60


class GrammarError(ValueError):
    """A rule that cannot be read, or that cannot be said with the slots on offer."""


class Dead(Exception):
    """This branch needs a slot that is not on offer; another is tried."""


class Node(NamedTuple):
    """``kind`` is text, slot, rule, need, seq or choice (an option is a choice with '')."""

    kind: str
    text: str = ""
    parts: tuple[Node, ...] = ()


class Line(NamedTuple):
    """One alternative of a rule."""

    node: Node
    weight: int
    heldout: bool


@dataclass
class Scene:
    """What one sentence may use and has used so far."""

    offered: frozenset[str]
    scopes: tuple[str, ...] = ()  # the rule prefix of each tie: "ties.maker.asked"
    subject: str = "subject.card"  # the rule that names the item where it is first spoken of
    allow_heldout: bool = False
    used: list[str] = field(default_factory=list)
    named: bool = False
    tie: int = 0
    heldout: bool = False
    side: str = ""  # what was said of the first of two items, to be said of the second


class Said(NamedTuple):
    """A sentence, and whether it rests on a line kept back for validation."""

    text: str
    heldout: bool


class Grammar:
    """All rules by dotted name: ``chat.thanks.reply``, ``ties.maker.asked.pred``."""

    def __init__(self, tree: Mapping[str, object]) -> None:
        self.rules: dict[str, tuple[Line, ...]] = {}
        self.facts: dict[str, str] = {}  # one-word entries such as slots and weights
        for name, text in _flatten(tree):
            if name.startswith("ties.") and name.rsplit(".", 1)[1] in ("slots", "tail", "weight"):
                self.facts[name] = text
            else:
                self.rules[name] = _lines(name, text)

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Grammar:
        """All ``*.yaml`` of ``folder`` as one grammar.

        Raises:
            GrammarError: a line does not parse or refers to a rule that is not there.
        """
        tree: dict[str, object] = {}
        for path in sorted(folder.glob("*.yaml")):
            tree |= yaml.safe_load(path.read_text(encoding="utf-8"))
        return cls(tree)

    def sections(self, prefix: str) -> list[str]:
        """The names one level under ``prefix``: sections("chat") -> thanks, joke, ..."""
        names = [*self.rules, *self.facts]
        cut = len(prefix) + 1
        return list(
            dict.fromkeys(n[cut:].split(".")[0] for n in names if n.startswith(prefix + "."))
        )

    def words(self) -> Iterator[tuple[str, str]]:
        """Every plain word of every rule, lower-case, as (rule, word)."""
        for rule, lines in self.rules.items():
            for line in lines:
                for text in _texts(line.node):
                    for word in re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text.lower()):
                        yield rule, word

    def say(self, rule: str, rng: random.Random, scene: Scene) -> Said:
        """One random sentence of ``rule`` with the slots on offer.

        Raises:
            GrammarError: no branch can be said with these slots.
        """
        for _ in range(TRIES):
            scene.used, scene.named, scene.heldout, scene.tie = [], False, False, 0
            try:
                return Said(tidy(self._rule(rule, rng, scene)), scene.heldout)
            except Dead:
                continue
        what = f"{rule!r} {' and '.join(scene.scopes)}".rstrip()
        raise GrammarError(f"{what} cannot be said with {sorted(scene.offered)}: add a line.")

    def _rule(self, name: str, rng: random.Random, scene: Scene) -> str:
        if name == "it":
            if scene.named:
                return "it"
            scene.named = True
            return self._rule(scene.subject, rng, scene)
        if name == "other":
            return self._other(scene)
        lines = list(self._lookup(name, scene))
        while lines:
            line = rng.choices(lines, weights=[x.weight for x in lines])[0]
            lines.remove(line)
            if line.heldout and not scene.allow_heldout:
                continue
            mark, before = len(scene.used), (scene.named, scene.heldout)
            try:
                scene.heldout |= line.heldout
                text = self._node(line.node, rng, scene)
                if name == "side":
                    scene.side = text
                return text
            except Dead:
                del scene.used[mark:]
                scene.named, scene.heldout = before
        raise Dead

    def _other(self, scene: Scene) -> str:
        text = scene.side.replace("<i1.", "<i2.")
        slots = re.findall(r"<[^<>]+>", text)
        if not slots or not set(slots) <= scene.offered:
            raise Dead
        scene.used += slots
        return text

    def _lookup(self, name: str, scene: Scene) -> tuple[Line, ...]:
        if scene.scopes:
            scope = scene.scopes[scene.tie]
            if name in ("fits", "gives"):
                tail = self.facts.get(f"{scope}.tail", "asked")
                name = f"{'tail' if name == 'fits' else 'gives'}.{tail}"
            elif f"{scope}.{name}" in self.rules:
                name = f"{scope}.{name}"
            elif name in SCOPED:
                raise Dead
        if name not in self.rules:
            raise GrammarError(f"There is no rule {name!r}: add it to reply_grammar/*.yaml.")
        return self.rules[name]

    def _node(self, node: Node, rng: random.Random, scene: Scene) -> str:
        match node.kind:
            case "text":
                return node.text
            case "slot":
                again = node.text in scene.used and not node.text.endswith(".title>")
                if node.text not in scene.offered or again:
                    raise Dead
                scene.used.append(node.text)
                return node.text
            case "need":
                if (node.text[1:] in scene.offered) != (node.text[0] == "+"):
                    raise Dead
                return ""
            case "rule":
                tie, _, name = node.text.rpartition(":")
                before = scene.tie
                scene.tie = int(tie) - 1 if tie else scene.tie
                try:
                    return self._rule(name, rng, scene)
                finally:
                    scene.tie = before
            case "seq":
                return "".join(self._node(part, rng, scene) for part in node.parts)
        parts = list(node.parts)
        rng.shuffle(parts)
        for part in parts:
            mark, state = len(scene.used), (scene.named, scene.heldout, scene.tie)
            try:
                return self._node(part, rng, scene)
            except Dead:
                del scene.used[mark:]
                scene.named, scene.heldout, scene.tie = state
        raise Dead


#: Rules that only a tie can answer; a tie without one cannot be said that way.
SCOPED = frozenset(("pred", "fact", "told", "np", "whole", "close", "again"))


def tidy(text: str) -> str:
    """Single spaces, no space before a stop, and a capital where a sentence begins."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.;:!?])", r"\1", text)
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)


def _texts(node: Node) -> Iterator[str]:
    if node.kind == "text":
        yield node.text
    for part in node.parts:
        yield from _texts(part)


def _flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, name + ".")
        else:
            yield name, str(value)


def _lines(name: str, text: str) -> tuple[Line, ...]:
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    order = sorted(rows, key=lambda row: zlib.crc32(f"{name}|{row}".encode()))
    back = set(
        order[: max(1, round(len(rows) * HELDOUT_SHARE))] if len(rows) >= MIN_FOR_HELDOUT else ()
    )
    result = []
    for row in rows:
        weight = re.match(r"(\d)\*\s*", row)
        body = row[weight.end() :] if weight else row
        try:
            node = _parse(body)
        except (IndexError, GrammarError) as error:
            raise GrammarError(f"{name}: {row!r} does not parse ({error}).") from error
        result.append(Line(node, int(weight.group(1)) if weight else 1, row in back))
    return tuple(result)


def _parse(text: str) -> Node:
    tokens = TOKEN.findall(text)
    if "".join(tokens) != text:
        raise GrammarError("a bracket is open")
    node, rest = _choice(tokens)
    if rest:
        raise GrammarError(f"unexpected {rest[0]!r}")
    return node


def _choice(tokens: list[str]) -> tuple[Node, list[str]]:
    parts: list[Node] = []
    sequence: list[Node] = []
    while tokens and tokens[0] not in ")]":
        head, tokens = tokens[0], tokens[1:]
        if head == "|":
            parts.append(Node("seq", parts=tuple(sequence)))
            sequence = []
        elif head in "([":
            inner, tokens = _choice(tokens)
            if not tokens or tokens[0] != {"(": ")", "[": "]"}[head]:
                raise GrammarError(f"{head!r} is not closed")
            tokens = tokens[1:]
            if head == "[":
                inner = Node("choice", parts=(inner, Node("text")))
            sequence.append(inner)
        else:
            sequence.append(_leaf(head))
    parts.append(Node("seq", parts=tuple(sequence)))
    return (parts[0] if len(parts) == 1 else Node("choice", parts=tuple(parts))), tokens


def _leaf(token: str) -> Node:
    if token.startswith("<"):
        return Node("slot", token)
    if token.startswith("{"):
        body = token[1:-1]
        return Node("need" if body[0] in "+-" else "rule", body)
    return Node("text", token)
