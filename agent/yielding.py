"""Older clauses give way where a new request of its own would otherwise find nothing.

"A western from the fifties", said after "a comedy from 2005 on, at most 100 minutes", is no
change of the comedy. Where both cannot be had, the smallest set of the older clauses is dropped,
and the reply says which; what was said now is never dropped. A change of the request ("and
French, please") is not touched: there the person is asked (``agent.policy.blocked``).
"""

from collections.abc import Collection

from agent.phrases import clauses_text, listed
from agent.state import Beliefs, Evidence, StateUpdate, Unit
from agent.verify import realise
from catalog.filters import Clause, compile, smallest_relaxations
from catalog.items import Catalog


def yielded(
    beliefs: Beliefs, update: StateUpdate, catalog: Catalog, exclude: Collection[str] = ()
) -> tuple[Beliefs, tuple[Clause, ...]]:
    """Beliefs after ``update`` with what has to go for it gone, and what that is."""
    said = {(c.field, c.op, c.values) for c in update.add}
    new = [c for c in beliefs.clauses if (c.field, c.op, c.values) in said]
    old = [c for c in beliefs.clauses if (c.field, c.op, c.values) not in said]
    if not update.anew or not (new or update.about) or not old:
        return beliefs, ()
    rows = [catalog.row(i) for i in exclude if catalog.has(i)]
    allowed = compile(catalog, beliefs.clauses) & catalog.alive
    allowed[rows] = False
    fitting = compile(catalog, new) & catalog.alive
    fitting[rows] = False
    if allowed.any() or not fitting.any():
        return beliefs, ()
    outside = [int(r) for r in (~fitting).nonzero()[0]]
    options = smallest_relaxations(catalog, old, outside)
    dropped = options[0] if options else tuple(old)
    left = tuple(c for c in beliefs.clauses if c not in dropped)
    return beliefs.model_copy(update={"clauses": left}), dropped


def told(dropped: tuple[Clause, ...], catalog: Catalog) -> Unit:
    """The sentence that says which older clauses no longer count."""
    facets = {f.name: f for f in catalog.domain.facets}
    words = listed(words for _, words in clauses_text(facets, dropped))
    evidence = Evidence(slot="<c1>", text=words, field=dropped[0].field, source="user")
    noun = Evidence(slot="<nouns>", text=catalog.domain.noun_many, source="computed")
    return realise(
        "For this I no longer look only for <nouns> <c1>.",
        {"<c1>": evidence, "<nouns>": noun},
        item_id=None,
        realised_by="template",
    )
