"""What holds whenever a person comes ("I never watch horror"), within one conversation.

The profile's clauses and wishes join the beliefs at the first turn and are chips like any other:
taken off or overruled there they stay off in that conversation, because ``Beliefs.standing``
remembers what has joined. A sentence deleted from the profile leaves the beliefs with the next
turn, before anything is chosen.
"""

from collections import defaultdict

from agent.beliefs import add_clauses
from agent.profile import Held
from agent.state import Beliefs, Wish
from catalog.filters import Clause
from catalog.items import Catalog

FROM_PROFILE = -1  # the ``turn`` of what no turn of this conversation said


def joined(beliefs: Beliefs, held: Held, catalog: Catalog) -> Beliefs:
    """Beliefs with what is new in the profile at their end: places that a click names stay.

    What this conversation said on the same matter comes first; what another catalogue's
    conversations said of facets that this one lacks is left out.
    """
    known = {token(one) for one in beliefs.standing}
    facets = {facet.name for facet in catalog.domain.facets if facet.filterable}
    scales = {scale.name for scale in catalog.domain.scales}
    new = [c for c in held.clauses if token(c) not in known and c.field in facets]
    clauses = beliefs.clauses
    for clause in new:
        if not any(token(c) == token(clause) for c in clauses):
            mine = clause.model_copy(update={"turn": FROM_PROFILE, "scope": "always"})
            clauses += tuple(c for c in add_clauses((mine,), others(beliefs, mine)) if ours(c))
    hopes = [w for w in held.wishes if token(w) not in known and w.scale in scales]
    wished = {w.scale for w in beliefs.wishes}
    wishes = beliefs.wishes + tuple(
        w.model_copy(update={"turn": FROM_PROFILE}) for w in hopes if w.scale not in wished
    )
    if not new and not hopes:
        return beliefs
    standing = (*beliefs.standing, *new, *hopes)
    return beliefs.model_copy(update={"clauses": clauses, "wishes": wishes, "standing": standing})


def parted(beliefs: Beliefs, held: Held, turn: int) -> Beliefs:
    """Beliefs without what has been deleted from the profile. ``turn``: the one being read,
    whose own words are not in the profile yet."""
    kept: tuple[Clause | Wish, ...] = (*held.clauses, *held.wishes)
    now = {token(one) for one in kept}
    gone = {token(one) for one in beliefs.standing} - now
    covered: dict[str, set[float | str]] = defaultdict(set)
    lost: dict[str, set[float | str]] = defaultdict(set)
    for clause in held.clauses:
        if clause.op == "none":
            covered[clause.field] |= set(clause.values)
    for one in beliefs.standing:
        if isinstance(one, Clause) and one.op == "none" and token(one) in gone:
            lost[one.field] |= set(one.values)
    clauses = []
    for clause in beliefs.clauses:
        said_before = clause.scope == "always" and 0 <= clause.turn < turn
        if clause.turn == turn:
            clauses.append(clause)
        elif clause.op == "none":
            off = lost[clause.field] | (set(clause.values) if said_before else set())
            left = tuple(v for v in clause.values if v not in off - covered[clause.field])
            if left:
                clauses.append(clause.model_copy(update={"values": left}))
        elif token(clause) not in gone and not (said_before and token(clause) not in now):
            clauses.append(clause)
    wishes = tuple(w for w in beliefs.wishes if w.turn == turn or token(w) not in gone)
    standing = tuple(one for one in beliefs.standing if token(one) in now)
    changed = {"clauses": tuple(clauses), "wishes": wishes, "standing": standing}
    return beliefs.model_copy(update=changed)


def token(one: Clause | Wish) -> str:
    """What is asked, whoever said it when."""
    if isinstance(one, Wish):
        return f"wish:{one.scale}:{one.direction}"
    return f"{one.field}:{one.op}:{sorted(map(str, one.values))}"


def others(beliefs: Beliefs, clause: Clause) -> list[Clause]:
    """The conversation's clauses that can overrule one of the profile's: "no war" leaves
    "no horror" alone."""
    return [c for c in beliefs.clauses if not (c.op == clause.op == "none")]


def ours(clause: Clause) -> bool:
    return clause.turn == FROM_PROFILE and clause.scope == "always"
