"""The list of past conversations as HTML text: title, when, and a way to delete each."""

from collections.abc import Sequence
from datetime import UTC, datetime

from agent.history import Conversation
from page.html import attributes, button, escape

MINUTE, HOUR, DAY = 60, 3600, 86400


def history(conversations: Sequence[Conversation], now: datetime | None = None) -> str:
    """Newest first, as the agent gives them."""
    if not conversations:
        return '<p class="empty">Your conversations will be listed here.</p>'
    now = now or datetime.now(UTC)
    rows = "".join(
        f"<li{attributes(data_thread=one.thread)}>"
        f'<a href="#{escape(one.thread)}"{attributes(data_open_thread=one.thread)}>'
        f"<span>{escape(one.title or 'Untitled')}</span>"
        f"<small>{escape(ago(one.updated, now))}</small></a>"
        + button(
            "",
            image="delete",
            class_="icon",
            name=f"Delete: {one.title}",
            data_delete=one.thread,
            data_title=one.title,
        )
        + "</li>"
        for one in conversations
    )
    return f"<ul>{rows}</ul>"


def ago(then: datetime, now: datetime) -> str:
    """ "just now", "5 min ago", "3 h ago", "yesterday", "12 Mar", "12 Mar 2024"."""
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed = (now - then).total_seconds()
    if passed < MINUTE:
        return "just now"
    if passed < HOUR:
        return f"{passed // MINUTE:.0f} min ago"
    if passed < DAY:
        return f"{passed // HOUR:.0f} h ago"
    if passed < 2 * DAY:
        return "yesterday"
    return f"{then.day} {then:%b}" + ("" if then.year == now.year else f" {then.year}")
