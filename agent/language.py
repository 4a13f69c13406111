"""Notices a message that is not in English, so that it is answered so and not guessed at.

Titles and names are no sign of a language: what was understood of the message ("Amélie", "Das
Boot") is taken out first, and a rest that is short or mostly made of everyday English words is
English. Then py3langid decides: character n-grams, one small file in the package, no network
(Lui and Baldwin, "langid.py", ACL 2012; Barbaresi's port).

    foreign("Je voudrais un film drôle")     # "French"
    foreign("something like La Haine")       # None
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from tools.names import rank

#: Languages that are told apart, by the names people call them.
NAMES: Final = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
MIN_WORDS: Final = 4  # of Latin script; fewer are as likely a name
EVERYDAY: Final = 3_000  # the commonest English words ...
ENGLISH: Final = 0.5  # ... are this share of an English message at least
PLAINLY: Final = frozenset(
    "i i'm i'd i've and the with please something like want loved love about would it's".split()
)  # two of these are English, whatever titles stand around them
SURE: Final = 0.9
MAX_CHARS: Final = 1_000


def foreign(text: str, names: Iterable[str] = ()) -> str | None:
    """The language of a message in English words, None for English or for too little to tell.

    ``names``: pieces of it that were understood as titles or people.
    """
    text = text[:MAX_CHARS]
    for name in names:
        if name:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", text, flags=re.IGNORECASE)
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text)
    letters = [c for word in words for c in word if c.isalpha()]
    other = sum(not unicodedata.name(c, "").startswith("LATIN") for c in letters)
    if other > len(letters) / 2 and other >= 2:
        return named(text, 0.0)
    if len(words) < MIN_WORDS:
        return None
    everyday = sum(rank(word.lower().split("'")[0]) <= EVERYDAY for word in words)
    plainly = sum(word.lower().replace("’", "'") in PLAINLY for word in words)
    if everyday >= ENGLISH * len(words) or plainly >= 2:
        return None
    return named(" ".join(words), SURE)


def named(text: str, sure: float) -> str | None:
    code, probability = identifier().classify(text)
    if code == "en" or float(probability) < sure:
        return None
    return NAMES[code]


@cache
def identifier() -> Any:
    """The classifier over ``NAMES``; loaded once, a tenth of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages(list(NAMES))
    return found
