"""The critique algebra: how one turn's update edits what is held true.

Pure functions over frozen values, so that undo is a matter of keeping the old one.
Rules, in the order they matter: retract first, then add; a later clause beats an
earlier one on the same facet and side; "no X" takes X out of an earlier "any of";
the latest attitude to an item wins.
"""

from collections.abc import Collection, Iterable, Sequence

from agent.state import (
    About,
    Action,
    Adventure,
    Beliefs,
    Kind,
    Mention,
    Relax,
    Remove,
    Replace,
    StateUpdate,
    Turn,
    Wish,
)
from catalog.filters import Clause

#: Oldest free-text wishes drop off: a person who has said three new things has moved on.
MAX_ABOUT = 2


def apply(beliefs: Beliefs, update: StateUpdate) -> Beliefs:
    """Beliefs after ``update``; the argument is unchanged."""
    beliefs = _acted(beliefs, update.action)
    if "all" in update.retract:
        beliefs = Beliefs(shown=beliefs.shown, mentions=_keep_rejections(beliefs.mentions))
    else:
        beliefs = _retract(beliefs, frozenset(update.retract))
    fresh = update.intent == "recommend" and bool(update.about)
    own = update.anew and not update.mentions
    if own or (update.about and not update.mentions and not update.wishes):
        # A new subject on its own: "like the second, but slower" was about the last one.
        eased = tuple(m.model_copy(update={"relative": False}) for m in beliefs.mentions)
        kept = tuple(w for w in beliefs.wishes if w.relative_to is None)
        beliefs = beliefs.model_copy(update={"mentions": eased, "wishes": kept})
    return beliefs.model_copy(
        update={
            "clauses": add_clauses(beliefs.clauses, update.add),
            "mentions": _add_mentions(beliefs.mentions, update.mentions),
            "wishes": _add_wishes(beliefs.wishes, update.wishes),
            "about": _add_about(() if fresh else beliefs.about, update.about),
            "avoid": _add_about(beliefs.avoid, update.avoid),
            "indifferent": tuple(dict.fromkeys(beliefs.indifferent + update.indifferent)),
        }
    )


def excluded(beliefs: Beliefs, again: Collection[str] = ()) -> frozenset[str]:
    """Item ids that must not be recommended: shown already, or known to the person.

    What was shown may come again where it is in ``again``; what was named may not.
    """
    named = (m.item_id for m in beliefs.mentions)
    return (frozenset(beliefs.shown) - frozenset(again)) | frozenset(named)


def visible(beliefs: Beliefs, turns: Sequence[Turn] = ()) -> dict[Kind, tuple[int, ...]]:
    """Places of the beliefs that a person should be shown, by kind.

    All, but items that were only asked about ("Who directed the third?"): these say nothing
    of the person. ``turns``: the dialogue, to see what each mention was part of.
    """
    asked = ("ask_fact", "ask_why", "compare")

    def tells(mention: Mention) -> bool:
        if mention.attitude != "neutral" or mention.relative:
            return True
        known = 0 <= mention.turn < len(turns)
        update = turns[mention.turn].update if known else None
        return update is None or update.intent not in asked

    return {
        "clauses": tuple(range(len(beliefs.clauses))),
        "wishes": tuple(range(len(beliefs.wishes))),
        "about": tuple(range(len(beliefs.about))),
        "mentions": tuple(k for k, m in enumerate(beliefs.mentions) if tells(m)),
    }


def _acted(beliefs: Beliefs, action: Action | None) -> Beliefs:
    """What a click on the page changes besides what its update says of items."""
    match action:
        case Remove(kind=kind, places=places):
            kept = (v for k, v in enumerate(getattr(beliefs, kind)) if k not in places)
            return beliefs.model_copy(update={kind: tuple(kept)})
        case Replace(kind=kind, place=place, value=value):
            held = getattr(beliefs, kind)
            return beliefs.model_copy(update={kind: (*held[:place], value, *held[place + 1 :])})
        case Adventure(level=level):
            return beliefs.model_copy(update={"adventure": level})
        case Relax(clauses=dropped):
            gone = {(c.field, c.op, c.values) for c in dropped}
            left = (c for c in beliefs.clauses if (c.field, c.op, c.values) not in gone)
            return beliefs.model_copy(update={"clauses": tuple(left)})
        case _:
            return beliefs


def add_clauses(held: tuple[Clause, ...], new: Iterable[Clause]) -> tuple[Clause, ...]:
    """Held clauses edited by new ones; see the module docstring for the rules."""
    result = list(held)
    for clause in new:
        result = [kept for old in result if (kept := _against(old, clause)) is not None]
        if clause.op == "none":
            same = next((c for c in result if c.field == clause.field and c.op == "none"), None)
            if same is not None:
                result.remove(same)
                values = tuple(dict.fromkeys(same.values + clause.values))
                said = same.said if set(clause.values) <= set(same.values) else clause.said
                clause = clause.model_copy(update={"values": values, "said": said})
        result.append(clause)
    return tuple(result)


def _against(old: Clause, new: Clause) -> Clause | None:
    """What is left of ``old`` once ``new`` is said; None when it is replaced."""
    if old.field != new.field:
        return old
    if old.op in ("ge", "le"):
        if new.op == old.op:
            return None
        if {old.op, new.op} == {"ge", "le"}:
            low, high = (old, new) if old.op == "ge" else (new, old)
            return old if float(low.values[0]) <= float(high.values[0]) else None
        return old
    if old.op == "none" and new.op == "none":
        return old
    if old.op == "none" or new.op == "none":
        rest = tuple(v for v in old.values if v not in new.values)
        return old.model_copy(update={"values": rest}) if rest else None
    if new.op == "all" and old.op == "all":
        return None if set(old.values) <= set(new.values) else old
    return None


def _retract(beliefs: Beliefs, names: frozenset[str]) -> Beliefs:
    if not names:
        return beliefs
    return beliefs.model_copy(
        update={
            "clauses": tuple(c for c in beliefs.clauses if c.field not in names),
            "mentions": tuple(m for m in beliefs.mentions if m.item_id not in names),
            "wishes": tuple(w for w in beliefs.wishes if w.scale not in names),
            "about": () if "about" in names else beliefs.about,
            "avoid": () if "about" in names else beliefs.avoid,
        }
    )


def _keep_rejections(mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
    # Starting over forgets tastes, not what the person has already seen or refused.
    kept = (m for m in mentions if m.attitude in ("seen", "reject", "dislike"))
    return tuple(m.model_copy(update={"relative": False}) for m in kept)


def _add_mentions(held: tuple[Mention, ...], new: tuple[Mention, ...]) -> tuple[Mention, ...]:
    result = {m.item_id: m for m in held}
    if any(m.relative for m in new):
        result = {k: m.model_copy(update={"relative": False}) for k, m in result.items()}
    for mention in new:
        old = result.pop(mention.item_id, None)
        if old is not None and mention.attitude == "neutral":
            mention = old.model_copy(update={"relative": mention.relative or old.relative})
        result[mention.item_id] = mention
    return tuple(result.values())


def _add_wishes(held: tuple[Wish, ...], new: tuple[Wish, ...]) -> tuple[Wish, ...]:
    replaced = {w.scale for w in new}
    return tuple(w for w in held if w.scale not in replaced) + new


def _add_about(held: tuple[About, ...], new: tuple[About, ...]) -> tuple[About, ...]:
    said = {a.text.casefold() for a in new}
    merged = tuple(a for a in held if a.text.casefold() not in said) + new
    return merged[-MAX_ABOUT:]
