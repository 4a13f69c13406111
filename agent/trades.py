"""How one speaks of a kind of thing: films are watched, books are read, jackets are worn.

The table is ``trades.yaml``. A catalogue names its own verbs in ``domain.yaml``; where it does
not, its noun finds its trade here. What belongs to other trades is *foreign* to it, and the
verifier refuses it in a reply.
"""

from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict

from catalog.items import Domain

TABLE: Final = Path(__file__).parent / "trades.yaml"
USUAL: Final = "goods"  # the trade of a catalogue whose noun no other trade has


class Trade(BaseModel):
    """The words of one kind of thing, lower-case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    done: tuple[str, ...]
    words: tuple[str, ...]
    never: tuple[str, ...] = ()

    def all_words(self) -> frozenset[str]:
        phrases = (*self.nouns, *self.verbs, *self.done, *self.words)
        return frozenset(word for phrase in phrases if " " not in phrase for word in (phrase,))


@cache
def trades() -> dict[str, Trade]:
    """All trades by name."""
    table = yaml.safe_load(TABLE.read_text("utf-8"))
    return {name: Trade.model_validate(words) for name, words in table.items()}


def nouns_of(domain: Domain) -> frozenset[str]:
    """Every word by which the catalogue's own items are called, lower-case."""
    said = " ".join((domain.noun_one, domain.noun_many, *domain.noun_also)).lower()
    return frozenset(said.split())


def trade_of(domain: Domain) -> Trade:
    """The trade that knows this catalogue's noun; ``USUAL`` when none does."""
    own = {domain.noun_one.lower(), domain.noun_many.lower(), domain.name.lower()}
    found = (trade for trade in trades().values() if own & set(trade.nouns))
    return next(found, trades()[USUAL])


def verbs_of(domain: Domain) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What one does with an item ("watch"), and has done ("seen")."""
    trade = trade_of(domain)
    return tuple(domain.verbs) or trade.verbs, tuple(domain.done) or trade.done


def foreign_words(domain: Domain) -> frozenset[str]:
    """Words of other trades, less every word that this catalogue uses itself."""
    own = set(trade_of(domain).all_words()) | nouns_of(domain)
    said = [*domain.verbs, *domain.done, domain.name]
    for facet in domain.facets:
        said += [facet.name, facet.label, facet.plural, *facet.also]
        said += [*facet.more, *facet.less, *facet.bounds]
    own |= {word for phrase in said for word in phrase.lower().split()}
    others = frozenset[str]().union(*(trade.all_words() for trade in trades().values()))
    return (others - own - COMMON) | set(trade_of(domain).never)


#: Words of some trade that are plain English everywhere: no sentence sounds wrong for them.
COMMON: Final = frozenset(
    "see saw seen get use used own play level things thing item items article finish finished "
    "track record records show shows room rooms book taste page hear heard place".split()
)
