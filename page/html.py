"""The few bricks every part of the page is laid with: escaping, attributes, icons, buttons.

Whatever a person or a catalogue wrote passes through ``escape`` (imported from here, quotes
included) before it stands in HTML. Icons are drawn here as strokes on a 24 x 24 grid.
"""

from html import escape as _escape

ICONS = {
    "more": "M12 4v16M4 12h16",
    "not": "M5 5l14 14M19 5L5 19",
    "seen": "M4 12.5l5 5L20 6.5",
    "why": "M8 8.4a4 4 0 1 1 5.6 3.6c-1.1.6-1.6 1.3-1.6 2.9M12 19v.1",
    "compare": "M4 5h6v14H4zM14 5h6v14h-6z",
    "edit": "M4 20l1-4L16 5l3 3L8 19zM13.5 7.5l3 3",
    "retry": "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
    "undo": "M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3",
    "trace": "M5 6h8M5 12h14M5 18h11",
    "delete": "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7",
    "close": "M6 6l12 12M18 6L6 18",
    "menu": "M4 7h16M4 12h16M4 17h16",
    "send": "M12 19V5M6 11l6-6 6 6",
    "stop": "M7 7h10v10H7z",
    "sun": "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21"
    "M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M18.4 5.6l-1.1 1.1M6.7 17.3l-1.1 1.1",
    "list": "M9 6.5h11M9 12h11M9 17.5h11M4.5 6.5h.1M4.5 12h.1M4.5 17.5h.1",
    "down": "M6 9l6 6 6-6",
    "thumb_up": "M7 11v9H4v-9zM7 11l4-8c1.5 0 2.5 1 2.5 2.5V9H19l1.5 1.5-1.5 8-1.5 1.5H7",
    "thumb_down": "M7 13V4H4v9zM7 13l4 8c1.5 0 2.5-1 2.5-2.5V15H19l1.5-1.5-1.5-8L17.5 4H7",
    "person": "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M5 20a7 7 0 0 1 14 0",
}

THUMBS = (("up", "Good: {}"), ("down", "Not good: {}"))


def escape(text: object) -> str:
    """Text so that it is text wherever it stands, in an element or in a quoted attribute."""
    return _escape(str(text), quote=True)


def attributes(**given: str | int | bool | None) -> str:
    """`` name="value"`` for each; ``data_item`` becomes ``data-item``, True a bare name,
    False and None nothing at all."""
    parts: list[str] = []
    for name, value in given.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(f" {name}")
        elif value is not None and value is not False:
            parts.append(f' {name}="{escape(value)}"')
    return "".join(parts)


def icon(name: str) -> str:
    return (
        f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{ICONS[name]}"/></svg>'
    )


def button(
    label: str,
    *,
    image: str = "",
    class_: str = "quiet",
    name: str = "",
    **data: str | int | bool | None,
) -> str:
    """A button; ``name`` is what assistive tools read when it says more than ``label``."""
    drawn = icon(image) if image else ""
    text = f"<span>{escape(label)}</span>" if label else ""
    return (
        f'<button type="button"{attributes(class_=class_, aria_label=name or None, **data)}>'
        f"{drawn}{text}</button>"
    )


def thumbs(what: str, **data: str | int) -> str:
    """Two buttons that say what one thinks. ``what``, "this reply" or a title, is named to those
    who hear the page."""
    drawn = "".join(
        button(
            "",
            image=f"thumb_{way}",
            class_="thumb",
            name=words.format(what),
            data_thumb=f"thumb_{way}",
            aria_pressed="false",
            **data,
        )
        for way, words in THUMBS
    )
    return f'<span class="thumbs">{drawn}</span>'


def link(address: str | None, text: str, class_: str = "") -> str:
    """``text`` (already safe) as a link where ``address`` is a web address, else as it is."""
    if not address or not address.startswith(("https://", "http://")):
        return text
    return (
        f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer"'
        f"{attributes(class_=class_ or None)}>{text}</a>"
    )
