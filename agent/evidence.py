"""What may be said of an item, and what ties it to what the person said.

Every slot of a reply is filled from here, so every fact shown is a catalogue field, a
computed value or the person's own words. A *tie* is a reason: its evidence is checked
before it is offered, so a sentence that carries it out is true whatever its wording.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from agent.clause_ties import clause_ties, premise_ties
from agent.phrases import (
    label,
    listed,
    quotable,
)
from agent.slots import Tie, field_evidence, item_slots
from agent.state import Beliefs, Evidence, Mention
from catalog.items import Catalog, Facet, Item

#: Cosine of MiniLM vectors from which two descriptions are about the same matter.
#: On the bundled films one random pair in a hundred reaches it.
ALIKE = 0.58
#: The same for a free-text wish against an item; short texts score lower (one in a hundred).
ABOUT = 0.38
#: One word alone is vaguer: "chess" comes as near to a film about rules of any kind.
ABOUT_WORD = 0.4
#: How much further along a scale (0-4) an item must be to be called "funnier".
SCALE_STEP = 0.4
#: What synonyms of themes look like when they are adjectives: "dystopian", "magical".
ADJECTIVE = re.compile(r"(?:ian|al|ic|ish|ful|ous|ive|less|able|proof)$")
#: Facet roles that a shared value makes two items alike by, strongest first.
SHARED_ROLES = ("maker", "people", "tag", "category")
STOP = frozenset(
    "a an and are as at but by for from in into is it its of on or some something that the "
    "their this to with who whose which about like really very more less not no".split()
)


def ties(
    catalog: Catalog,
    item: Item,
    beliefs: Beliefs,
    about: Mapping[str, np.ndarray] | None = None,
    told: Collection[str] = (),
    short: bool = False,
) -> list[Tie]:
    """All true reasons for ``item``, strongest first; never empty.

    ``told``: premises that other cards of the slate tell already (a shop has one text for a
    whole line of products). ``short``: name what was asked for in fewer words.

    ``about`` maps each free-text wish to every item's cosine with it, shape (N,); wishes
    without scores are matched by their words only.
    """
    facets = {f.name: f for f in catalog.domain.facets}
    found = _about_ties(catalog, item, beliefs, about or {})
    anchors = sorted(
        (
            m
            for m in beliefs.mentions
            if m.item_id != item.id and (m.relative or m.attitude == "like")
        ),
        key=lambda m: (not m.relative, m.attitude != "like", -m.turn),
    )
    liked = [t for m in anchors[:3] for t in _mention_ties(catalog, item, m)]
    wished = _wish_ties(catalog, item, beliefs)
    stated, spared = clause_ties(facets, item, beliefs.clauses)
    strong = [t for t in stated if t.name in ("maker", "people")]
    warm = [t for t in stated if t.name in ("tag", "mood")]
    plain = [t for t in stated if t not in strong and t not in warm]
    premised = premise_ties(catalog, item, beliefs.clauses, short)
    found = [*found, *premised, *strong, *warm, *liked, *wished, *plain, *spared]
    fresh = [t for t in found if not any(e.text in told for e in t.evidence)]
    found = fresh or found
    return found or [_fallback(catalog, item)]


def choose(found: list[Tie], seed: int = 0, used: Sequence[str] = ()) -> tuple[Tie, ...]:
    """One or two ties for a sentence: the strongest, and now and then a second kind.

    ``used``: the first ties of the cards above; none of them leads more than twice where there
    is another, but what an item is about differs from card to card.
    """
    fresh = [
        t
        for t in found[:4]
        if (t.name == "about" or used.count(t.name) < 2)
        and not any(e.slot == "<c2>" for e in t.evidence)  # what was ruled out leads nowhere
    ]
    first = (fresh or found)[0]
    found = [first, *(t for t in found if t is not first)]
    others = [t for t in found[1:] if t.name != first.name]
    if first.name == "about" and any(e.slot == "<i1.premise>" for e in first.evidence):
        # The premise says more than a category would; only a tie to another item may follow.
        others = [t for t in others if any(e.slot == "<m1>" for e in t.evidence)]
    second = next(iter(others), None)
    if second is None or seed % 3 == 0 or _clash(first, second):
        return (first,)
    return (first, second)


def _clash(first: Tie, second: Tie) -> bool:
    """Two ties that fill a slot differently, or that answer the same words twice."""
    mine = {e.slot: e.text for e in first.evidence}
    return any(
        e.slot in mine and (e.slot == "<u1>" or mine[e.slot] != e.text) for e in second.evidence
    )


def as_noun(catalog: Catalog, said: str) -> str:
    """A person's words so that they stand as a noun: "sad" becomes "something sad".

    Only words that the catalogue knows as a mood or a scale are taken for adjectives; with
    the catalogue's own noun in it ("tense movie set in space") it only lacks an article.
    """
    first = re.split(r"[\s,]", said.strip().casefold(), maxsplit=1)[0]
    adjectives = {scale.label for scale in catalog.domain.scales}
    for facet in catalog.domain.facets:
        if facet.role == "mood":
            adjectives |= {str(v).casefold() for v in catalog.values(facet.name)}
            adjectives |= set(facet.synonyms)
        if facet.role == "tag":
            adjectives |= {s for s in facet.synonyms if ADJECTIVE.search(s)}
    if first not in adjectives:
        return said
    nouns = {catalog.domain.noun_one, *catalog.domain.noun_also}
    if nouns & set(said.casefold().split()):
        return f"an {said}" if first[0] in "aeiou" else f"a {said}"
    return f"something {said}"


def content_words(text: str) -> list[str]:
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return [w for w in words if w not in STOP and len(w) > 2]


def _stem(word: str) -> str:
    # Enough to let "robots" meet "robot" and "grieving" meet "grief"-like tags by prefix.
    for suffix in ("ing", "ies", "es", "s", "ed"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word[: -len(suffix)]
    return word


def stems(text: str) -> frozenset[str]:
    """The telling words of a text without their endings, so that "robots" meets "robot"."""
    return frozenset(_stem(w) for w in content_words(text))


def matching_values(facet: Facet, item: Item, text: str) -> tuple[str, ...]:
    """Values of a categories facet of ``item`` that share a content word with ``text``."""
    wanted = stems(text)
    values = item.values.get(facet.name) or ()
    if isinstance(values, str):
        values = (values,)
    return tuple(v for v in values if wanted & stems(str(v)))


def _about_ties(
    catalog: Catalog, item: Item, beliefs: Beliefs, about: Mapping[str, np.ndarray]
) -> list[Tie]:
    """Ties to free words: through the premise where one is written, else a matching value."""
    result: list[Tie] = []
    row = catalog.row(item.id)
    premise = next((f for f in catalog.domain.facets if f.role == "premise"), None)
    for wish in reversed(beliefs.about):
        said = Evidence(slot="<u1>", text=as_noun(catalog, wish.text), source="user")
        hits = {
            facet.name: hit
            for facet in catalog.domain.facets
            if facet.kind == "categories" and facet.role in ("tag", "mood", "category")
            if (hit := matching_values(facet, item, wish.text))
        }
        scores = about.get(wish.text)
        score = float(scores[row]) if scores is not None else 0.0
        asked = stems(wish.text)
        met = frozenset[str]().union(*(stems(str(v)) for hit in hits.values() for v in hit))
        whole = bool(asked) and asked <= met
        # One word of several ("hopeful" of "hopeful about grief") is not yet a fit.
        near = ABOUT if len(asked) > 1 else ABOUT_WORD
        fits = whole or score >= near or (bool(hits) and score >= ABOUT / 2)
        text = str(item.values.get(premise.name) or "") if premise is not None else ""
        if premise is not None and text and fits and quotable(text):
            evidence = field_evidence(item, premise, text, "<i1.premise>")
            result.append(Tie("about", (said, evidence)))
        for name, hit in hits.items():
            facet = catalog.facet(name)
            if facet.role == "mood":  # "it has hopeful" is no English; the premise says it
                continue
            words = listed(label(facet, v) for v in hit[:2])
            evidence = field_evidence(item, facet, words, f"<i1.{facet.role}>")
            # "For dinosaurs, this one offers dinosaurs" says nothing: name the tag alone.
            same = facet.role == "tag" and stems(words) == stems(wish.text)
            result.append(Tie("tag", (evidence,)) if same else Tie("about", (said, evidence)))
    return result


def _mention_ties(catalog: Catalog, item: Item, mention: Mention) -> list[Tie]:
    """Ties to an item the person likes: a shared value, talked of together, or alike."""
    if not catalog.has(mention.item_id):
        return []
    other = catalog.item(mention.item_id)
    named = Evidence(slot="<m1>", text=other.title, item_id=other.id, field="title", source="user")
    result: list[Tie] = []
    shared_by_role: dict[str, Evidence] = {}
    for facet in catalog.domain.facets:
        if facet.role not in SHARED_ROLES or facet.role in shared_by_role or not facet.filterable:
            continue  # derived keywords are for search: "both have a ship" is no reason
        mine, theirs = item.values.get(facet.name) or (), other.values.get(facet.name) or ()
        if not isinstance(mine, tuple) or not isinstance(theirs, tuple):
            continue
        if shared := [v for v in mine if v in theirs]:
            text = listed(label(facet, v) for v in shared[:2])
            shared_by_role[facet.role] = field_evidence(item, facet, text, "<i1.shared>")
    for role in ("maker", "people"):
        if role in shared_by_role:
            result.append(Tie(role, (named, shared_by_role[role])))
    mine_row, their_row = catalog.row(item.id), catalog.row(other.id)
    common = shared_by_role.get("tag") or shared_by_role.get("category")
    if float(catalog.vectors[mine_row] @ catalog.vectors[their_row]) >= ALIKE:
        result.append(Tie("alike", (named, common) if common else (named,)))
    if catalog.related[their_row, mine_row] > 0:
        result.append(Tie("talked", (named,)))
    if common and not any(t.name == "alike" for t in result):
        result.append(Tie("alike", (named, common)))
    return result


def _wish_ties(catalog: Catalog, item: Item, beliefs: Beliefs) -> list[Tie]:
    result = []
    for wish in beliefs.wishes:
        scores = catalog.scales.get(wish.scale)
        if scores is None:
            continue
        anchor = wish.relative_to
        base = (
            float(scores[catalog.row(anchor)])
            if anchor and catalog.has(anchor)
            else float(np.median(scores))
        )
        if wish.direction * (float(scores[catalog.row(item.id)]) - base) >= SCALE_STEP:
            text = as_noun(catalog, wish.said)
            said = Evidence(slot="<u1>", text=text, field=wish.scale, source="computed")
            result.append(Tie("wish", (said,)))
    return result


def _fallback(catalog: Catalog, item: Item) -> Tie:
    """Nothing is known that this item answers: say honestly that it is much talked about."""
    if catalog.popularity[catalog.row(item.id)] > 0:
        return Tie("popular", ())
    slots = item_slots(catalog, item)
    for role in ("category", "maker", "date", "people"):
        if evidence := slots.get(f"<i1.{role}>"):
            return Tie(role, (evidence,))
    return Tie("popular", ())
