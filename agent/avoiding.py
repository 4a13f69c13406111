"""What a person wants nothing of, in free words: "nothing about boarding schools".

A value of the catalogue ("no zombies") is a clause; other words are kept as ``Beliefs.avoid``
and do two things here: items whose tags, keywords or premise name the subject are masked out,
and items close to it in meaning are pushed down. Where masking would leave nothing, only the
pushing is left: the person named a subject, not a filter that could be offered to be dropped.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from agent.evidence import stems
from agent.state import About
from catalog.items import Catalog

NEAR: Final = 0.30  # cosine from which an item is pushed down
MANY: Final = 2_000  # texts from which their words are looked at, each once, instead of each text
STEEP: Final = 8.0  # how fast: at a cosine of 0.55 its weight is a seventh
ROLES: Final = ("tag", "mood", "category")


class Avoidance(NamedTuple):
    """``allowed`` (N,) bool, less what names the subject; ``factors`` (N,) on the prior."""

    allowed: npt.NDArray[np.bool_]
    factors: npt.NDArray[np.float64]


def avoidance(
    catalog: Catalog,
    avoid: Iterable[About],
    allowed: npt.NDArray[np.bool_],
    embed: Callable[[str], npt.NDArray[np.float32]],
) -> Avoidance:
    """Mask and factors for everything that is to be avoided; ``allowed`` is not changed."""
    factors = np.ones(len(catalog), dtype=np.float64)
    left = allowed.copy()
    for one in avoid:
        left &= ~naming(catalog, one.text)
        closeness = np.asarray(catalog.about(embed(one.text)), dtype=np.float64)
        factors *= np.exp(-STEEP * np.maximum(closeness - NEAR, 0.0))
    return Avoidance(left if left.any() else allowed, factors)


def naming(catalog: Catalog, text: str) -> npt.NDArray[np.bool_]:
    """Items that name the subject: by a tag within its words, or a premise with all of them."""
    wanted = stems(text)
    found = np.zeros(len(catalog), dtype=np.bool_)
    if not wanted:
        return found
    for facet in catalog.domain.facets:
        if facet.kind == "categories" and facet.role in ROLES:
            holders = catalog.holders(facet.name)
            for value in catalog.values(facet.name):
                if wanted == stems(str(value)):
                    found[holders.held(holders.vocabulary[value])[0]] = True
        elif facet.role == "premise":
            texts = catalog.df[facet.name]
            near = np.arange(len(texts))
            if all(stem.isascii() for stem in wanted):  # a stem stands in its word as it is
                plain = texts.str.to_lowercase()
                has = [plain.str.contains(stem, literal=True).fill_null(False) for stem in wanted]
                near = np.flatnonzero(np.logical_and.reduce([one.to_numpy() for one in has]))
                if len(near) > MANY:
                    near = near[_with_words(plain.gather(near), wanted)]
                    found[near] = True
                    continue
            for row, text in zip(near, texts.gather(near).to_list(), strict=True):
                found[row] |= bool(text) and wanted <= stems(text)
    return found


def _with_words(texts: pl.Series, wanted: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Which of many lower-case texts have all these stems; every word is looked at once."""
    has = np.ones(len(texts), dtype=np.bool_)
    for stem in wanted:
        words = texts.str.extract_all(rf"[^\W\d_]*{stem}[^\W\d_]*")
        said = words.explode().unique().drop_nulls().to_list()
        good = [word for word in said if stem in stems(word)]
        has &= words.list.eval(pl.element().is_in(good)).list.any().fill_null(False).to_numpy()
    return has
