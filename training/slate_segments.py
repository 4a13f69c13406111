"""Which tokens of a rollout belong to which rank, and which item stands there.

One reading of a rollout serves the rewards and the token masks alike, so the two cannot
drift apart: the reference code of the paper counts rewards over parsed lines and tokens
over newlines, and one blank line shifts all later credit. Rules, for both forms:

* an item occupies one rank, whether or not it can be parsed (``None`` in ``items``);
* separators (newlines, blank lines) and the final end token belong to the item before;
* an end token that comes before ``n`` items stands alone at the first missing rank, where
  the penalty for stopping early is given;
* ranks go on past ``n``: what to do with surplus items is the rewards' business.

    segment_codes([a3, b1, c7, eos], levels=3, base=base, eos=eos, n=1, lookup=items.get)
    segment_text(ids, tokenizer, eos=eos, n=20, parse=parse_title)
"""

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

CODES = 256
TITLE = re.compile(r"^\s*(?:\d{1,3}[.)]\s+)?(?P<title>.+?)\s*\((?P<year>\d{4})\)\s*$")


class Segments(NamedTuple):
    """``rank_ids``: one a token, 0-based. ``items``: one a rank, in order; None = no item.

    ``premature``: the rollout ended itself before ``n`` items; the end token is then alone at
    rank ``len(items)``. ``len(items)`` counts items, not that rank.
    """

    rank_ids: list[int]
    items: list[Hashable | None]
    premature: bool


class Title(NamedTuple):
    """An item of the text form. ``name`` is casefolded, with single spaces."""

    name: str
    year: int

    def matches(self, other: "Title", within: int = 2) -> bool:
        """The paper's rule: the same title and a year at most ``within`` years away."""
        return self.name == other.name and abs(self.year - other.year) <= within


def parse_title(line: str) -> Title | None:
    """ "Arrival (2016)", with or without a list number; None for anything else."""
    found = TITLE.match(line)
    if found is None:
        return None
    return Title(" ".join(found["title"].casefold().split()), int(found["year"]))


def segment_codes(
    ids: Sequence[int],
    *,
    levels: int,
    base: int,
    eos: int,
    n: int,
    lookup: Callable[[tuple[int, ...]], Hashable | None],
) -> Segments:
    """Read a rollout of semantic IDs: every item is ``levels`` tokens.

    ``base``: token id of the first code, code c of level l is ``base + 256 l + c``.
    ``lookup``: codes -> item or None. Nothing after the first end token counts; those tokens
    get the end token's rank. A code of the wrong level makes the item None, not the rank
    disappear.
    """
    body = list(ids[: ids.index(eos)]) if eos in ids else list(ids)
    rank_ids = [position // levels for position in range(len(body))]
    items: list[Hashable | None] = []
    for start in range(0, len(body), levels):
        codes = tuple(t - base - CODES * k for k, t in enumerate(body[start : start + levels]))
        whole = len(codes) == levels and all(0 <= code < CODES for code in codes)
        items.append(lookup(codes) if whole else None)
    return _ended(rank_ids, items, len(ids) - len(body), n)


def segment_text(
    ids: Sequence[int],
    tokenizer: Any,
    *,
    eos: int,
    n: int,
    parse: Callable[[str], Hashable | None] = parse_title,
) -> Segments:
    """Read a rollout of lines, one item a line; blank lines are no items.

    A token belongs to the line in which its first visible character stands, so a token that
    closes one line and opens the next counts for the next; one of blanks alone counts for
    the line before.
    """
    body = list(ids[: ids.index(eos)]) if eos in ids else list(ids)
    ends = [len(tokenizer.decode(body[: k + 1])) for k in range(len(body))]
    text = tokenizer.decode(body)
    items: list[Hashable | None] = []
    rank_at: list[int] = []  # of each character; a blank has the rank of what came before
    for line in text.split("\n"):
        if line.strip():
            items.append(parse(line))
        rank_at += [max(len(items) - 1, 0)] * (len(line) + 1)
    rank_ids: list[int] = []
    begin = 0
    for end in ends:
        visible = next((at for at in range(begin, end) if not text[at].isspace()), None)
        before = rank_ids[-1] if rank_ids else 0
        rank_ids.append(before if visible is None else max(rank_at[visible], before))
        begin = max(begin, end)
    return _ended(rank_ids, items, len(ids) - len(body), n)


def _ended(rank_ids: list[int], items: list[Hashable | None], tail: int, n: int) -> Segments:
    """Give the end token (and any padding after it) its rank; see the module docstring."""
    premature = tail > 0 and len(items) < n
    last = len(items) if premature else max(len(items) - 1, 0)
    return Segments(rank_ids + [last] * tail, items, premature)
