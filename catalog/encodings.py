"""Which characters a text file is written in: found from its bytes, and said.

UTF-8 is proved by reading the whole file as such; UTF-16 and UTF-32 show by their mark or their
zero bytes. What is left is an old one-byte code: Windows-1252 where that gives mostly plain
letters (Excel in western Europe and the Americas), else what charset-normalizer thinks.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from catalog.errors import BuildError

BLOCK = 1 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FEW = 0.02  # of the lines beyond ASCII, so many may be broken and the file still be UTF-8
WESTERN = 0.3  # of all letters, at most so many lie beyond ASCII in a western language
SURROGATE = re.compile("[\ud800-\udfff]")
REPLACED = re.compile("[\ufffd\ud800-\udfff]")
TYPOGRAPHY = frozenset("€„“”‚‘’–—…«»°£§©®™²³½¼¾×·•¿¡ºª´\xa0")


class Encoding(NamedTuple):
    """``name`` as ``open`` takes it; ``broken``: some lines are not in it; ``note`` to print."""

    name: str
    broken: bool = False
    note: str = ""

    @property
    def errors(self) -> str:
        """How ``open`` marks a byte that does not fit, so that its row can be rejected."""
        return "surrogateescape" if self.name.startswith("utf-8") else "replace"

    @property
    def mark(self) -> re.Pattern[str]:
        """What such a byte looks like then."""
        return SURROGATE if self.name.startswith("utf-8") else REPLACED


def detect(path: Path, asked: str | None = None) -> Encoding:
    """The encoding of a text file. ``BuildError`` when ``asked`` names none."""
    if asked:
        try:
            return Encoding(
                codecs.lookup(asked).name, broken=True, note=f"read as {asked}, as asked"
            )
        except LookupError as error:
            raise BuildError(f"No encoding {asked!r}: utf-8, cp1252, utf-16 are usual.") from error
    with path.open("rb") as file:
        start = file.read(4096)
    for mark, name in MARKS:
        if start.startswith(mark):
            said = "" if name == "utf-8-sig" else f"read as {name}"
            return Encoding(name, broken=True, note=said)
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if even + odd > len(start) // 4 and max(even, odd) > 9 * min(even, odd):
        name = "utf-16-le" if odd > even else "utf-16-be"
        return Encoding(name, broken=True, note=f"read as {name}")
    good, bad = _utf8_lines(path)
    if not bad:
        return Encoding("utf-8")
    if bad <= FEW * good:
        return Encoding("utf-8", broken=True, note=f"{bad} lines are not UTF-8")
    return _one_byte(path)


def _utf8_lines(path: Path) -> tuple[int, int]:
    """How many lines beyond ASCII are UTF-8, and how many are not."""
    good = bad = 0
    with path.open("rb") as file:
        for line in file:
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good, bad


def _one_byte(path: Path) -> Encoding:
    """An old code: cp1252 where it reads as a western language, else charset-normalizer's word."""
    with path.open("rb") as file:
        sample = b"".join(line for line in file.readlines(BLOCK * 4) if not line.isascii())[:BLOCK]
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    beyond = [c for c in text if c > "\x7f"]
    plain = sum(c.isalpha() or c in TYPOGRAPHY for c in beyond)
    letters = sum(map(str.isalpha, text))
    odd = sum(c.isalpha() for c in beyond)
    if beyond and plain >= 0.9 * len(beyond) and odd <= WESTERN * max(letters, 1):
        return Encoding("cp1252", note="read as Windows-1252 (cp1252): it is not UTF-8")
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    name = best.encoding if best is not None else "latin-1"
    if name.startswith(("utf_16", "utf_32")):  # these begin with a mark, looked for before
        name = "latin-1"
    return Encoding(
        name, broken=True, note=f"read as {name}, a guess: --encoding names another if it is wrong"
    )
