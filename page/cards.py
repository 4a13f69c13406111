"""A slate as cards: poster, facts, the reason with the person's words, and what one can do.

Pure functions from items to HTML text. What stands on a card follows from the facets' roles,
so another catalogue needs no new code. The poster is the catalogue's own image where it has
one and otherwise drawn: the first categories' colours, initials, year.
"""

from collections.abc import Sequence
from urllib.parse import urlencode
from zlib import crc32

from agent.phrases import value_text
from agent.state import Turn, Unit
from catalog.items import Catalog, Domain, Facet, Item
from page.html import attributes, button, escape, link, thumbs
from page.proof import unit_html, words_for

LITTLE_WORDS = {"a", "an", "and", "in", "of", "on", "or", "the", "to"}
MAX_NAMES = 3  # people or categories on a card's line
MAX_QUOTES = 2  # of the person's words on a card
GOLDEN_ANGLE = 137.508  # degrees: successive multiples of it stay apart on the colour wheel
ACTIONS = (
    ("more_like", "More like this", "more", "More like {}"),
    ("not_this", "Not this", "not", "Not {}"),
    ("seen_it", "Seen it", "seen", "I know {} already"),
    ("why", "Why?", "why", "Why {}?"),
)


def slate(
    item_ids: Sequence[str],
    reasons: Sequence[Unit],
    catalog: Catalog,
    *,
    turns: Sequence[Turn] = (),
    remote_images: bool = False,
) -> str:
    """The cards of a slate in rank order; places whose reason is not there yet are empty."""
    told = {unit.item_id: unit for unit in reasons}
    drawn = [
        card(item_id, told[item_id], catalog, number, turns=turns, remote_images=remote_images)
        if item_id in told
        else empty_place()
        for number, item_id in enumerate(item_ids, 1)
    ]
    return listed_cards("".join(drawn), catalog)


def waiting_slate(count: int, catalog: Catalog) -> str:
    """A slate of which nothing but its size is known yet."""
    return listed_cards(empty_place() * count, catalog)


def listed_cards(drawn: str, catalog: Catalog) -> str:
    label = f"Recommended {catalog.domain.noun_many}"
    return f'<ol class="slate"{attributes(aria_label=label)}>{drawn}</ol>'


def empty_place() -> str:
    """Where a card will stand."""
    return (
        '<li class="card waiting" aria-hidden="true"><div class="tile"></div>'
        '<div class="facts"><i></i><i></i><i></i></div></li>'
    )


def card(
    item_id: str,
    reason: Unit,
    catalog: Catalog,
    number: int,
    *,
    turns: Sequence[Turn] = (),
    remote_images: bool = False,
) -> str:
    """One item; an item that left the catalogue is named as gone and offers nothing."""
    if not catalog.has(item_id):
        noun = catalog.domain.noun_one
        return (
            f'<li class="card gone"><p>{number}. This {escape(noun)} is no longer '
            f"in the catalogue.</p></li>"
        )
    item = catalog.item(item_id)
    facts = " · ".join(escape(fact) for fact in fact_line(item, catalog.domain))
    people = [
        credit(item, facet)
        for role in ("maker", "people")
        for facet in facets_of(catalog.domain, role)
    ]
    text = unit_html(reason, catalog, turns)
    return (
        f'<li class="card"{attributes(data_item=item.id)}>'
        f"{tile(item, catalog, remote_images=remote_images)}"
        f'<div class="facts"><h3><span class="number">{number}</span> '
        f"{link(item.link, escape(item.title))}</h3>"
        + (f'<p class="line">{facts}</p>' if facts else "")
        + "".join(f'<p class="line">{line}</p>' for line in people if line)
        + "</div>"
        + (f'<div class="reason"><p>{text}</p>{quotes(reason, turns)}</div>' if text else "")
        + f"{actions(item)}</li>"
    )


def quotes(reason: Unit, turns: Sequence[Turn]) -> str:
    """The words of the person that this reason answers, where the reason does not repeat them."""
    found: dict[str, int] = {}
    for span in reason.spans:
        if span.evidence.item_id:
            continue  # an item they named is named in the reason: "the third" says no more
        words = words_for(span.evidence, turns)
        if words and words.said.casefold() not in reason.text.casefold():
            found.setdefault(words.said, words.message)
    lines = [
        f'<a class="quote" href="#message-{message}"{attributes(data_message=message)}>'
        f"You said “{escape(said)}”</a>"
        for said, message in list(found.items())[:MAX_QUOTES]
    ]
    return f'<p class="quotes">{" ".join(lines)}</p>' if lines else ""


def actions(item: Item) -> str:
    """What one can do with a card; page/static/cards.js listens to ``data-do``."""
    drawn = "".join(
        button(
            label,
            image=image,
            class_="act",
            name=says.format(item.title),
            data_do=do,
            data_item=item.id,
        )
        for do, label, image, says in ACTIONS
    )
    tick = (
        f'<label class="act tick"><input type="checkbox"'
        f"{attributes(data_compare=item.id, data_title=item.title)}"
        f"{attributes(aria_label=f'Compare {item.title}')}><span>Compare</span></label>"
    )
    return f'<div class="actions">{drawn}{tick}{thumbs(item.title, data_item=item.id)}</div>'


def tile(item: Item, catalog: Catalog, *, remote_images: bool = False) -> str:
    """The poster. The drawn one always stands beneath, so a missing image leaves no hole."""
    words = [word for word in item.title.split() if word[:1].isalnum()]
    telling = [word for word in words if word.lower() not in LITTLE_WORDS] or words
    initials = "".join(word[0].upper() for word in telling[:3])
    year = first_value(item, catalog.domain, "date")
    address = image_address(item, remote_images)
    picture = f'<img alt="" loading="lazy"{attributes(src=address)}>' if address else ""
    return (
        f'<div class="tile" style="{colour(item, catalog)}" aria-hidden="true">'
        f"<span>{escape(initials)}</span><small>{escape(year)}</small>{picture}</div>"
    )


def image_address(item: Item, remote_images: bool) -> str | None:
    """Where the browser gets the image: from this server, or from the web if that is allowed."""
    if item.image is None:
        return None
    if item.image.startswith("https://"):
        return item.image if remote_images else None
    return f"/parley/image?{urlencode({'item': item.id})}"


def colour(item: Item, catalog: Catalog) -> str:
    """CSS variables for the tile: from the first category's hue to the second's.

    The commonest categories get the hues farthest apart; no category at all is grey. The
    item's name decides the slant, so that neighbours of one category are not the same picture.
    """
    chance = crc32(item.id.encode())
    slant = f"--turn: {125 + chance % 70}deg; --left: {chance // 70 % 110 - 60}%"
    for facet in facets_of(catalog.domain, "category"):
        values = item.values.get(facet.name, ())
        ranks = [list(catalog.values(facet.name)).index(value) for value in values[:2]]
        hues = [f"{(200 + rank * GOLDEN_ANGLE) % 360:.0f}" for rank in ranks]
        if hues:
            return f"--hue: {hues[0]}; --to: {hues[-1]}; --tone: 0.11; {slant}"
    return f"--hue: 220; --to: 220; --tone: 0.02; {slant}"


def facets_of(domain: Domain, role: str) -> list[Facet]:
    return [facet for facet in domain.facets if facet.role == role]


def fact_line(item: Item, domain: Domain) -> list[str]:
    facts = [first_value(item, domain, role) for role in ("date", "category", "amount")]
    return [fact for fact in facts if fact]


def first_value(item: Item, domain: Domain, role: str) -> str:
    """The words of the first facet with this role that the item has; "" if it has none."""
    for facet in facets_of(domain, role):
        value = item.values.get(facet.name)
        if isinstance(value, tuple):
            return ", ".join(str(one) for one in value[:MAX_NAMES])
        if value is not None:
            return value_text(facet, value)
    return ""


def credit(item: Item, facet: Facet) -> str:
    """ "Director Denis Villeneuve", escaped; "" when the field is missing."""
    names = item.values.get(facet.name, ())
    if not names:
        return ""
    names = names if isinstance(names, tuple) else (str(names),)
    label = facet.label if len(names) == 1 else facet.plural
    return f"<b>{escape(label.capitalize())}</b> {escape(', '.join(names[:MAX_NAMES]))}"


def titled(catalog: Catalog, item_id: str) -> str:
    """ "Arrival (2016)"; the id of an item that left the catalogue."""
    if not catalog.has(item_id):
        return item_id
    item = catalog.item(item_id)
    year = first_value(item, catalog.domain, "date")
    return f"{item.title} ({year})" if year else item.title
