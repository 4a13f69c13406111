"""The profile in plain sentences: one thing that is kept of a person, in words."""

from agent.phrases import clauses_text
from agent.profile import Known
from catalog.filters import Clause
from catalog.items import Catalog


def sentence(known: Known, catalog: Catalog) -> str:
    """One thing that is kept, in words."""
    nouns = catalog.domain.noun_many
    if known.clause is not None:
        facets = {f.name: f for f in catalog.domain.facets}
        if known.clause.field not in facets:  # told over another catalogue
            words = known.said or f"{known.clause.field}: {listed_values(known.clause)}"
            return f"“{words}” (of another catalogue)"
        return f"You only want {nouns} {clauses_text(facets, [known.clause])[0][1]}."
    if known.wish is not None:
        scales = {s.name: s.label for s in catalog.domain.scales}
        more = "more" if known.wish.direction > 0 else "less"
        return f"You like your {nouns} {more} {scales.get(known.wish.scale, known.wish.scale)}."
    title = catalog.item(known.item_id).title if catalog.has(known.item_id) else known.title
    words = {
        "like": f"You like {title}",
        "accept": f"You chose {title}",
        "dislike": f"You do not like {title}",
        "reject": f"You turned {title} down",
        "seen": f"You know {title} already",
    }[known.opinion]
    rated = f" (you gave it {known.rating * 5:.2g} of 5)" if known.rating >= 0 else ""
    return f"{words}{rated}."


def listed_values(clause: Clause) -> str:
    return ", ".join(map(str, clause.values))
