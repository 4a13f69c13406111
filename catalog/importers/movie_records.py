"""One film's record: facts from the sources, cleaned, and what our editorial layer adds.

Facts win over the layer except for fields its record lists under ``override``; every field
the layer supplied is named in the item's ``editorial`` list, so that a reply can tell.
"""

from __future__ import annotations

import math
import re
from typing import Any

from catalog.importers import movie_words, redial

Record = dict[str, Any]
MAX_CAST = 8
#: sentences about the making of a film say nothing about the film's world
MAKING = re.compile(
    r"\b(direct(ed|or|orial)|written by|screenplay|produced by|production|starr?(s|ing)|releas"
    r"|box office|gross|nominat|award|premier|soundtrack|distribut|critic|review|sequel to"
    r"|remake|budget|filmed|shot in|studio|Pictures|DVD|rating|cast includes|cinematograph|lyrics"
    r"|music (by|score)|costume|screened|reprise|scripted|adapted|debut|composed)",
)
NOT_A_NAME = re.compile(r"\d{2}|[()\[\]]|\b(Award|nominee|uncredited|voice)\b")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])")
ORIGIN = re.compile(rf"\b(?:is|was) an? (?:\d{{4}} )?({'|'.join(movie_words.ADJECTIVES)})\b")
LANGUAGE = re.compile(r"\b([A-Z][a-z]+)[- ]language\b")
ENGLISH_SPEAKING = ("United States", "United Kingdom", "Australia", "New Zealand")


def to_item(film: Record, written: Record | None, mentions: int) -> Record:
    """One line of ``items.jsonl``: facts, then what the editorial layer adds."""
    raw = film.get("genres", []) + film.get("subgenres", [])
    overview = "" if film.get("overview_suspect") else film.get("overview") or ""
    item: Record = {
        "id": film["id"],
        "title": clean_title(film["title"]) if film.get("title") else None,
        "year": film.get("year"),
        "genres": movie_words.genres(raw),
        "directors": people(film.get("directors", [])),
        "cast": cast(film, raw),
        **origin(film, overview),
        "themes": movie_words.themes(raw),
        "link": film.get("wikipedia"),
        "editorial": [],
        "scores": {},
    }
    if written:
        add_layer(item, written)
    item["popularity"] = round(mentions + prior(film, written), 4)
    item["overview"] = nameless(world(overview), str(item["title"]))
    item["stand_in"] = "" if overview else stand_in(item)
    return item


def add_layer(item: Record, written: Record) -> None:
    """Lay an editorial record over an item's facts; note which fields rest on it."""
    override = set(written.get("override", ()))
    added = item["editorial"]
    fact_title = item["title"]
    for name in ("title", "year"):
        if item[name] is None or name in override:
            item[name] = written[name]
            added.append(name)
    other = fact_title if "title" in override else written["title"]
    if other and redial.plain(other) != redial.plain(item["title"]):
        item["original_title"] = other
    elif written.get("original_title"):
        item["original_title"] = written["original_title"]
    for name in ("premise", "moods", "runtime", "age"):
        if written.get(name) is not None:
            item[name] = written[name]
            added.append(name)
    for name in ("country", "language"):
        if written.get(name) and (not item[name] or name in override):
            item[name] = [written[name]] if isinstance(written[name], str) else written[name]
            added.append(name)
    ours_first = {"genres": movie_words.MAX_GENRES, "themes": 12}
    for name, most in ours_first.items():
        facts = [] if name in override else item[name]
        item[name] = list(dict.fromkeys([*written.get(name, ()), *facts]))[:most]
        if set(item[name]) - set(facts):
            added.append(name)
    for name, most in (("directors", 4), ("cast", MAX_CAST)):
        facts = [] if name in override else item[name]
        if name == "directors" and facts:
            continue
        item[name] = people([*facts, *written.get(name, ())])[:most]
        if set(item[name]) - set(facts):
            added.append(name)
    if written.get("scores"):
        item["scores"] = written["scores"]
        added.append("scales")


def clean_title(title: str) -> str:
    """A title without the marks its web page left: styles, footnotes, a trailing article."""
    title = re.sub(r"\.mw-parser-output.*\}", "", title.replace("\xa0", " ").replace("’", "'"))
    title = re.sub(r"\s*(\[\w+\]|\((TV special|Canadian theatrical release)\))$", "", title)
    title = re.sub(r"^(.*), (The|A|An)$", r"\2 \1", title.replace("33+1⁄3", "33⅓"))
    return " ".join(title.split())


def lower(name: str) -> bool:
    """Does it start like ordinary words ("the life of"), not like a name?"""
    return name[:1].islower() and "." not in name


def cast(film: Record, genres: list[str]) -> list[str]:
    """Leading actors; nothing for a documentary whose list is words of its description."""
    names: list[str] = film.get("cast", [])
    if "Documentary" in movie_words.genres(genres) and any(lower(name) for name in names):
        return []
    return people(names)[:MAX_CAST]


def people(names: list[str]) -> list[str]:
    """Names without blanks, footnotes and doubles ("Robert Downey, Jr." = "Robert Downey Jr.")."""
    found: dict[str, str] = {}
    for name in names:
        clean = " ".join(re.sub(r"\(.*?\)|\[.*?\]", "", name).split()).strip(" ,;:")
        clean = clean.replace(", Jr.", " Jr.").replace(", Sr.", " Sr.").removeprefix("and ")
        clean = re.sub(r"(?<=[a-z]{3})\.$", "", clean)  # the end of a sentence
        if len(clean) > 1 and not NOT_A_NAME.search(clean) and not lower(clean):
            found.setdefault(redial.plain(clean), clean)
    return list(found.values())


def named(table: dict[str, str], qid: str | None) -> list[str]:
    return [table[qid]] if qid in table else []


def origin(film: Record, overview: str) -> dict[str, list[str]]:
    """Country and language of a film.

    Wikidata gives one of several countries and languages in no order, so what the first
    sentence says ("is a 1981 American comedy", "a Spanish-language film") goes before it,
    and a language other than English is not believed of a film from an English-speaking
    country that does not say so (Taken is not an Arabic film).
    """
    opening = overview[:400]
    match = ORIGIN.search(opening)
    country = [movie_words.ADJECTIVES[match[1]]] if match else []
    country = country or named(movie_words.COUNTRIES, film.get("country_qid"))
    said = LANGUAGE.search(opening)
    language = named(movie_words.LANGUAGES, film.get("language_qid"))
    if said and said[1] in movie_words.LANGUAGES.values():
        language = [said[1]]
    elif language != ["English"] and country and country[0] in ENGLISH_SPEAKING:
        language = []
    return {"country": country, "language": language}


def prior(film: Record, written: Record | None) -> float:
    """Under one mention, so that a known film nobody mentioned ranks above an obscure one."""
    number = int(film["wikidata_id"][1:]) if film.get("wikidata_id") else 10**9
    established = max(0.0, 1 - math.log10(number) / 9)
    complete = len(film.get("cast", [])) / 20 + bool(film.get("directors")) / 10
    return 0.4 * established + 0.2 * min(complete, 0.5) + (0.45 if written else 0.0)


def world(overview: str) -> str:
    """The overview without sentences about the making, if enough is left, else the whole."""
    sentences = SENTENCE.split(overview)
    story = " ".join(s for s in sentences if not MAKING.search(s))
    return story if len(story.split()) >= 12 else overview


def nameless(overview: str, title: str) -> str:
    """The overview with the title taken out: a vector should say what a film is about.

    With titles in, "Arrival" was closest to "The Arrival" and "Arrival II", and "hopeful
    about grief" to "Death Wish V".
    """
    text = re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", "this", overview)
    return re.sub(r"^this \([^)]*\) ", "this ", text)


def stand_in(item: Record) -> str:
    """A line of facts for films the sources have no text on: their vector needs something."""
    words = [*item["language"][:1], *item["genres"][:2], "film"]
    place = f" from {item['country'][0]}" if item["country"] else ""
    return f"{item['title']}. {' '.join(words)}{place}."
