"""Turn + state -> typed ``StateUpdate``: who is meant, what is wanted, what is asked.

Rules first: exact, explainable, two milliseconds, and every facet they know comes from
the catalogue's own columns. The encoder (``agent.encoder``) fills in what rules miss:
its intent where they are unsure, its spans where they saw nothing. ``arm`` chooses
"rules", "encoder" or "both", so that each can be measured alone.

    understand("like Arrival but less slow, no Nolan", state, catalog, linker)
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakKeyDictionary

from agent.encoder import Encoder, context_of
from agent.reading.followups import carry_over, spell_out
from agent.reading.lexicon import Lexicon
from agent.reading.pieces import Reading
from agent.reading.plainer import compare_plainly, plainer
from agent.reading.scope import Scope, read_scope
from agent.reading.spelling import respell
from agent.reading.turn import read
from agent.state import DialogueState, StateUpdate

if TYPE_CHECKING:
    from catalog.items import Catalog
    from tools.find_title import TitleLinker

Arm = Literal["rules", "encoder", "both"]
MAX_CHARS: Final = 3_000  # of a turn that are read at all: nobody types more, attacks do
_QUOTES: Final = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "."}
)
_LEXICONS: "WeakKeyDictionary[Catalog, Lexicon]" = WeakKeyDictionary()


def understand(
    text: str,
    state: DialogueState,
    catalog: "Catalog",
    linker: "TitleLinker",
    encoder: "Encoder | None" = None,
    *,
    arm: Arm = "both",
) -> StateUpdate:
    """What the user turn ``text`` says, given ``state`` (``turns[-1]`` is this turn).

    Never raises on any text: what cannot be read comes back as intent "chat".
    """
    lexicon = lexicon_of(catalog)
    said, scope = read_scope(clean(text), lexicon.speech)
    said = compare_plainly(spell_out(plainer(said), state), lexicon)
    said = respell(said, lexicon, linker)
    reading = Reading(said, state, catalog, linker, lexicon)
    if encoder is not None and arm != "rules" and reading.text:
        reading.sensed = encoder.read(reading.text, context_of(state, catalog))
        reading.by_rules = arm != "encoder"
    return lasting(carry_over(reading, read(reading)), scope)


def lasting(update: StateUpdate, scope: Scope) -> StateUpdate:
    """What was said as a rule, and not of this conversation alone, is marked so."""
    if scope == "now":
        return update
    change = {"scope": scope}
    return update.model_copy(
        update={
            "add": tuple(c.model_copy(update=change) for c in update.add),
            "wishes": tuple(w.model_copy(update=change) for w in update.wishes),
            "avoid": tuple(a.model_copy(update=change) for a in update.avoid),
        }
    )


def keep_lexicon(catalog: "Catalog", lexicon: Lexicon) -> None:
    """Take this lexicon for a catalogue, instead of building one."""
    _LEXICONS[catalog] = lexicon


def lexicon_of(catalog: "Catalog") -> Lexicon:
    """The catalogue's lexicon, built on first use and kept as long as the catalogue."""
    if catalog not in _LEXICONS:
        _LEXICONS[catalog] = Lexicon(catalog)
    return _LEXICONS[catalog]


def clean(text: str) -> str:
    """Plain quotes, no control or invisible characters, single spaces, at most ``MAX_CHARS``."""
    text = unicodedata.normalize("NFC", text[: 2 * MAX_CHARS]).translate(_QUOTES)
    text = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)
    text = re.sub(r"<[^<>]{1,200}>", " ", text)  # markup says nothing about taste
    text = re.sub(r"[^\S\n]+", " ", re.sub(r"\n\s*", "\n", text))
    return text.strip()[:MAX_CHARS]
