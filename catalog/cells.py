"""One cell as a value: numbers with their units, years, lists. Written the way people write them.

``1.299,00 €``, ``$1,299.00``, ``12 kg``, ``1 h 30 min``, ``2-4``, ``8+``, ``03.05.2021``,
``red; blue``, ``["red", "blue"]``. Whether a lone ``1.299`` is a thousand or one and a bit is a
question about the whole column, so it is asked of the column (``decimal_mark``).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

#: What stands in a cell when nothing does.
NOTHING: Final = frozenset(
    "na n/a n.a. #n/a nan null none nil - -- – — ? unknown tbd tba k.a. keine unbekannt inconnu "
    "desconocido undefined inf -inf +inf infinity".split()
)
_FIGURES = r"\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[.,]\d+"
_NUMBER: Final = re.compile(
    rf"^(?P<before>[^\d+\-−–.,]{{0,12}}?)\s*(?P<sign>[-+−]?)(?P<figures>{_FIGURES})"
    r"(?:,[-–—]+|\.[-–—]+)?\s*(?P<after>[^\d]{0,24}|(?:m|cm|mm|km|ft|in)[23²³])$"
)
_RANGE: Final = re.compile(
    rf"^(?P<low>{_FIGURES})\s*(?:[-–—]|to|bis|à|a)\s*(?P<high>{_FIGURES})\s*(?P<after>[^\d]{{0,24}})$"
)
_TIME: Final = re.compile(
    r"^(?:(?P<h>\d+(?:[.,]\d+)?)\s*(?:h|hr|hrs|hours?|std\.?|stunden?|heures?|horas?)\.?)?\s*"
    r"(?:(?P<m>\d+(?:[.,]\d+)?)\s*(?:m|min|mins|minutes?|minuten|minutos|′|')?\.?)?"
    r"(?:\s*\d+\s*(?:s|sec|secs|seconds?)\.?)?$",
    re.IGNORECASE,
)
_THOUSANDS: Final = re.compile(r"(\d+(?:[.,]\d)?)\s?[kK](?![A-Za-z])")  # "50k €"
_MONEY_SIGN: Final = re.compile(r"[€$£]|\b(?:EUR|USD|GBP|CHF)\b")
_CLOCK: Final = re.compile(r"^(\d{1,2}):([0-5]\d)(?::[0-5]\d)?$")
_YEAR: Final = re.compile(r"^(?:c\.|ca\.?|circa|~)?\s*([12]\d{3})(?:\.0)?$", re.IGNORECASE)
_ROUGH: Final = re.compile(
    r"^(?:(?:c|ca|circa|about|around|before|after|um)\.?\s+|~)?(?:AD|A\.D\.)?\s*"
    r"(?:(?P<part>early|mid|middle|late)[\s-]+)?"
    r"(?:(?P<century>\d{1,2})(?:st|nd|rd|th)\s+(?:century|c\.)"
    r"|(?P<year>\d{3,4})(?:s|['’]s)?(?:\s*[-–/]\s*\d{1,4})?)"
    r"\s*(?P<era>BCE?|B\.C\.|CE|AD|A\.D\.|v\. ?Chr\.?)?$",
    re.IGNORECASE,
)
_DATES: Final = (
    re.compile(
        r"^([12]\d{3})[-/.](?:0?[1-9]|1[0-2])(?:[-/.](?:0?[1-9]|[12]\d|3[01]))?(?:[T ].*)?$"
    ),
    re.compile(
        r"^(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ]([12]\d{3})(?:[T ].*)?$"
    ),
    re.compile(
        r"^(?:\d{1,2}\.?\s+)?[A-Za-zäéûô]{3,10}\.?\s+(?:\d{1,2}(?:st|nd|rd|th)?,?\s+)?([12]\d{3})$"
    ),
)

#: A unit as written -> (family, how many of the family's smallest, the unit shown).
_UNITS: Final[dict[str, tuple[str, float, str]]] = {}


def _family(name: str, *units: tuple[float, str, str]) -> None:
    for factor, shown, spellings in units:
        for spelling in spellings.split():
            _UNITS[spelling] = (name, factor, shown)


_family(
    "mass",
    (0.001, "mg", "mg milligram milligrams"),
    (1, "g", "g gr gram grams gramm gramme grammes"),
    (1000, "kg", "kg kgs kilo kilos kilogram kilograms kilogramm"),
    (28.349523, "oz", "oz ounce ounces"),
    (453.59237, "lb", "lb lbs pound pounds pfund"),
    (1e6, "t", "tonne tonnes"),
)  # fmt: skip
_family(
    "length",
    (1, "mm", "mm millimetre millimetres millimeter millimeters"),
    (10, "cm", "cm centimetre centimetres centimeter centimeters zentimeter"),
    (1000, "m", "m metre metres meter meters"),
    (1e6, "km", "km kilometre kilometres kilometer kilometers"),
    (25.4, "in", 'in inch inches zoll " ″ ”'),
    (304.8, "ft", "ft foot feet ′"),
    (1609344, "miles", "mi mile miles"),
)
_family(
    "volume",
    (1, "ml", "ml millilitre millilitres milliliter milliliters"),
    (10, "cl", "cl"),
    (1000, "l", "l litre litres liter liters"),
)
_family(
    "time",
    (1 / 60, "seconds", "s sec secs second seconds sekunden"),
    (1, "minutes", "min mins minute minutes minuten minutos"),
    (60, "hours", "h hr hrs hour hours std stunde stunden heure heures hora horas"),
)
_family("days", (1, "days", "d day days tag tage jours dias"))
_family("weeks", (1, "weeks", "wk wks week weeks woche wochen"))
_family("months", (1, "months", "month months mo mos monat monate mois meses"))
_family("years", (1, "years", "y yr yrs year years jahr jahre ans años"))
_family("power", (1, "W", "w watt watts"), (1000, "kW", "kw kilowatt"))
_family("voltage", (1, "V", "v volt volts"))
_family("charge", (1, "mAh", "mah"), (1000, "Ah", "ah"))
_family("energy", (1, "kcal", "kcal"), (1, "Wh", "wh"))
_family("light", (1, "lumens", "lm lumen lumens"))
_family("storage", (1, "GB", "gb"), (1024, "TB", "tb"), (1 / 1024, "MB", "mb"))
_family("share", (1, "%", "% percent prozent vol% %vol vol.-% %vol."))
_family("angle", (1, "°", "° deg degrees grad"))
_family("heat", (1, "°C", "°c ℃ celsius"))
_family("pages", (1, "pages", "p pp page pages seiten"))
_family("pieces", (1, "pieces", "pc pcs piece pieces stück stk st"))
_family("people", (1, "people", "people persons person personen pax"))
_family("players", (1, "players", "player players spieler"))
_family("stars", (1, "stars", "star stars ★ sterne"))
#: Currencies; the sign shown is the one people write.
_CURRENCIES: Final = {
    "€": "€", "eur": "€", "euro": "€", "euros": "€", "$": "$", "us$": "$", "usd": "$",
    "dollar": "$", "dollars": "$", "£": "£", "gbp": "£", "chf": "CHF", "fr.": "CHF", "sfr": "CHF",
    "¥": "¥", "jpy": "¥", "kr": "kr", "sek": "kr", "nok": "kr", "dkk": "kr", "zł": "zł",
    "pln": "zł", "₹": "₹", "inr": "₹", "czk": "Kč", "kč": "Kč", "a$": "$", "c$": "$", "aud": "$",
    "cad": "$", "brl": "R$", "r$": "R$",
}  # fmt: skip
for _spelling, _sign in _CURRENCIES.items():
    _UNITS[_spelling] = (f"money {_sign}", 1, _sign)
_HEDGES: Final = frozenset(
    "ca ca. ~ ≈ approx approx. about from ab up to bis max max. min. nur only".split()
)


class Figure(NamedTuple):
    """A number as written: ``figures`` (sign, digits and marks), its unit, what kind of cell.

    ``high`` is the other end of a range ("2-4"), "" otherwise; ``plus`` for "8+".
    ``minutes`` is set when the cell was a length of time in several units.
    """

    figures: str
    unit: str  #: as ``unit_of`` knows it; "" for none
    high: str = ""
    plus: bool = False
    minutes: float | None = None


class Unit(NamedTuple):
    family: str
    factor: float
    shown: str


def unit_of(text: str) -> Unit | None:
    """A unit as written ("Kilos", "EUR", "vol%") or None."""
    key = text.strip().lower()
    found = _UNITS.get(key) or _UNITS.get(key.rstrip(".")) or _UNITS.get(key.replace(" ", ""))
    return Unit(*found) if found else None


def is_money(unit: Unit | None) -> bool:
    return unit is not None and unit.family.startswith("money")


def nothing(text: str | None) -> bool:
    """Is there nothing in the cell, in one of the ways of saying so?"""
    return text is None or text.strip().lower() in NOTHING or not text.strip()


def figure(text: str) -> Figure | None:
    """A cell as a number, or None. Words around the number must be a unit or a hedge."""
    text = text.strip()
    if "k" in text.lower() and _MONEY_SIGN.search(text):
        text = _THOUSANDS.sub(lambda m: f"{float(m[1].replace(',', '.')) * 1000:.0f}", text)
    clock = _CLOCK.match(text)
    if clock:
        return Figure("", "min", minutes=float(int(clock[1]) * 60 + int(clock[2])))
    match = _NUMBER.match(text)
    if match:
        before, after = match["before"].strip(), match["after"].strip()
        if before.lower().rstrip(".:") in _HEDGES or before.lower() in _HEDGES:
            before = ""
        plus = after.startswith("+")
        after = after.lstrip("+").strip()
        if before and after:
            return None
        unit = before or after
        if unit and unit_of(unit) is None:
            return None
        return Figure(match["sign"].replace("−", "-") + match["figures"], unit, plus=plus)
    match = _RANGE.match(text)
    if match and (not match["after"].strip() or unit_of(match["after"]) is not None):
        return Figure(match["low"], match["after"].strip(), high=match["high"])
    match = _TIME.match(text)
    if match and match["h"]:
        hours = float(match["h"].replace(",", "."))
        minutes = float((match["m"] or "0").replace(",", "."))
        return Figure("", "min", minutes=hours * 60 + minutes)
    return None


def minutes_first(texts: Iterable[str]) -> bool:
    """Does "38:20" mean minutes and seconds in a column? Where one cell says 1:04:10, or 52:05."""
    clocks = [text.strip() for text in texts if _CLOCK.match(text.strip())]
    return any(text.count(":") == 2 or int(text.split(":")[0]) > 23 for text in clocks)


def with_hours(text: str) -> str:
    """ "38:20" in a column of minutes and seconds, as hours, minutes and seconds."""
    return f"0:{text.strip()}" if text.count(":") == 1 and _CLOCK.match(text.strip()) else text


def decimal_mark(figures: Iterable[str], usual: str = ".") -> str:
    """ "." or ",": which mark the numbers of a column have before their fractions.

    ``usual`` is what the rest of the file does: it decides where this column does not
    ("1.299" alone may be either).
    """
    votes = {".": 0, ",": 0}
    threes = {".": 0, ",": 0}
    for text in figures:
        last = max(text.rfind("."), text.rfind(","))
        if last < 0:
            continue
        mark, other = text[last], "," if text[last] == "." else "."
        tail = len(text) - last - 1
        if other in text:
            votes[mark] += 1  # both are there: the last one is the decimal mark
        elif text.count(mark) > 1:
            votes[other] += 1  # 1.299.000
        elif tail != 3 or text.lstrip("-+")[:2] in ("0.", "0,"):
            votes[mark] += 1
        else:
            threes[mark] += 1
    if votes["."] != votes[","]:
        return "." if votes["."] > votes[","] else ","
    if threes["."] and not threes[","] and usual == ",":
        return ","
    return usual


def value(text: str, decimal: str) -> float:
    """The number that ``figures`` writes with this decimal mark."""
    thousands = "." if decimal == "," else ","
    bare = re.sub(r"['’\u00a0\u202f ]", "", text)
    if bare.count(decimal) > 1:
        thousands, decimal = decimal, thousands
    return float(bare.replace(thousands, "").replace(decimal, "."))


def year(text: str) -> int | None:
    """The year of a date, however written, or None. "-750" and "750 BC" are years too."""
    text = text.strip()
    match = _YEAR.match(text)
    if match:
        return int(match[1])
    for pattern in _DATES:
        match = pattern.match(text)
        if match:
            return int(match[1])
    match = re.match(r"^-?(\d{1,4})(?:\.0)?(\s*(?:BC|BCE|v\. ?Chr\.?))?$", text)
    if match:
        before = text.startswith("-") or bool(match[2])
        return -int(match[1]) if before else int(match[1])
    return _roughly(text)


def _roughly(text: str) -> int | None:
    """The year that a museum's label comes nearest to: "1870s", "late 19th century", "1785/86",
    "c. 500-300 BC" (of a span its beginning, of a century its middle)."""
    match = _ROUGH.match(text)
    if match is None:
        return None
    before = bool(match["era"]) and match["era"].upper().startswith(("BC", "V"))
    if match["century"]:
        part = {"early": 15, "late": 85}.get((match["part"] or "").lower().strip(), 50)
        century = int(match["century"])
        return -(100 * century - part) if before else 100 * (century - 1) + part
    return -int(match["year"]) if before else int(match["year"])


def as_list(text: str) -> list[str] | None:
    """A JSON or Python list written in a cell, or None."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list):
            names = [v.get("name") if isinstance(v, dict) else v for v in found]
            return [str(v).strip() for v in names if v is not None and str(v).strip()]
    return None


def split(text: str, separator: str) -> list[str]:
    """The parts of a cell, in order, without repeats. ``separator`` "json" reads a list."""
    if separator == "json":
        parts = as_list(text)
        parts = [text] if parts is None else parts
    else:
        parts = text.split(separator) if separator else [text]
    kept = (" ".join(part.split()) for part in parts)
    return list(dict.fromkeys(part for part in kept if part and not nothing(part)))


def truth(text: str) -> bool | None:
    """A yes or no, or None."""
    word = text.strip().lower()
    if word in ("true", "yes", "y", "ja", "wahr", "oui", "sí", "si", "x", "✓", "✔"):
        return True
    if word in ("false", "no", "n", "nein", "falsch", "non"):
        return False
    return None


def between(figure_: Figure, decimal: str) -> Sequence[int] | None:
    """The whole numbers of a short range ("2-4" -> 2, 3, 4; "5+" -> 5), or None."""
    low = value(figure_.figures, decimal)
    high = value(figure_.high, decimal) if figure_.high else low
    if not low.is_integer() or not high.is_integer() or not 0 <= high - low <= 30:
        return None
    return range(int(low), int(high) + 1)
