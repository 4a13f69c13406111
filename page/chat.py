"""The chat page's components and one function for each thing a person can do on it.

What they show is made in page/render.py; what is true stands in the agent, whose checkpoints
outlive the process. The browser keeps nothing but the conversation's name, so a reload, a
second tab and a restarted server all show the same conversation.
"""

import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import gradio as gr

from agent.agent import MAX_USER_CHARS, Agent, Removable
from agent.state import DialogueState
from catalog.errors import ParleyError
from page import render

STYLE = Path(__file__).parent / "style.css"
FONT = ["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
CONCURRENT_TURNS = 8
THREAD = re.compile(r"[0-9a-f]{32}")

# The list of beliefs is HTML text; a click on one of its buttons becomes a Gradio event.
FORGET_CLICKS = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-kind]');
  if (button) trigger('click', {kind: button.dataset.kind, places: button.dataset.places});
});
"""

log = logging.getLogger(__name__)


class View(NamedTuple):
    """New values for the page's parts, in the order of ``Page.parts``."""

    thread: Any
    chat: Any
    cards: Any
    known: Any
    openers: Any
    text: Any


def theme() -> gr.themes.Base:
    """Gradio's own look with the machine's fonts: its defaults would be fetched from a host."""
    return gr.themes.Soft(primary_hue="slate", neutral_hue="slate", font=FONT, font_mono=MONO)


class Page:
    """The page over one agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.catalog = agent.catalog

    def build(self) -> gr.Blocks:
        """The components, their layout, and what each event does."""
        domain = self.catalog.domain
        blocks: gr.Blocks
        with gr.Blocks(title="Parley", analytics_enabled=False) as blocks:
            # The name is encrypted with a key; a random one would forget every conversation
            # when the server restarts, and there is nothing to hide from the browser's owner.
            thread = gr.BrowserState("", storage_key="parley-thread", secret="parley")
            gr.HTML(
                "<h1>Parley</h1><p>Say what you feel like, in your own words. "
                f"{len(self.catalog):,} {domain.noun_many}.</p>",
                elem_id="head",
                apply_default_css=False,
            )
            with gr.Column(elem_id="layout", min_width=0):
                with gr.Column(elem_id="talk", min_width=0):
                    chat = gr.Chatbot(
                        elem_id="chat",
                        show_label=False,
                        height=None,
                        render_markdown=False,  # what people and catalogues write is plain text
                        feedback_options=None,
                        buttons=[],
                        placeholder=f"Which {domain.noun_one} shall it be?",
                        layout="bubble",
                    )
                    # Openers and input line wait for ``open``: a message sent before the browser's
                    # conversation is known would land in another one.
                    with gr.Row(elem_id="openers", visible=False) as openers:
                        buttons = [gr.Button(o, size="sm") for o in domain.openers[:4]]
                    text = gr.Textbox(
                        elem_id="say",
                        label="Your message",
                        show_label=False,
                        placeholder="Type here",
                        submit_btn=True,
                        max_length=MAX_USER_CHARS,
                        interactive=False,
                        lines=1,
                        max_lines=6,
                    )
                    with gr.Row():
                        undo = gr.Button("Undo", size="sm", elem_id="undo", min_width=100)
                        new = gr.Button("New chat", size="sm", elem_id="new", min_width=100)
                cards = gr.HTML(elem_id="cards", js_on_load=None, apply_default_css=False)
                known = gr.HTML(elem_id="known", js_on_load=FORGET_CLICKS, apply_default_css=False)

            parts = list(View(thread, chat, cards, known, openers, text))
            on = partial(_listen, outputs=parts)
            on(blocks.load, self.open, [thread])
            on(text.submit, self.send, [thread, text])
            for button in buttons:
                on(button.click, self.send, [thread, button])
            on(undo.click, self.undo, [thread])
            on(new.click, self.new, [])
            on(known.click, self.forget, [thread])
        return blocks

    def show(self, thread: str, state: DialogueState, *, text: Any = None) -> View:
        """Everything as ``state`` has it; ``text`` goes into the input line unless None."""
        return View(
            thread=thread,
            chat=render.messages(state, self.catalog),
            cards=render.cards(state, self.catalog),
            known=render.understood(state, self.catalog),
            openers=gr.update(visible=not state.turns),
            text=gr.skip() if text is None else text,
        )

    def open(self, thread: str) -> View:
        """The page was loaded: go on with the browser's conversation, or begin one."""
        ready = gr.update(interactive=True, autofocus=True)
        if not THREAD.fullmatch(thread or ""):
            return self.new()._replace(text=ready)
        try:
            return self.show(thread, self.agent.resume(thread), text=ready)
        except Exception as error:
            history = render.messages(self.agent.state(thread), self.catalog)
            return self._failed(thread, history, error)._replace(text=ready)

    def new(self) -> View:
        return self.show(self.agent.new_thread(), DialogueState(), text="")

    def undo(self, thread: str) -> View:
        """Take back the last message and put it into the input line, to say it differently."""
        said = [turn.text for turn in self.agent.state(thread).turns if turn.role == "user"]
        return self.show(thread, self.agent.undo(thread), text=said[-1] if said else "")

    def forget(self, thread: str, event: gr.EventData) -> View:
        """Remove the belief whose button was clicked."""
        kind, places = str(event.kind), str(event.places).split(",")
        if kind in get_args(Removable) and all(place.isdecimal() for place in places):
            for place in sorted(map(int, places), reverse=True):
                self.agent.forget(thread, kind, place)  # type: ignore[arg-type]
        return self.show(thread, self.agent.state(thread))

    def send(self, thread: str, text: str) -> Iterator[View]:
        """One message: what is verified appears as it comes, then everything as it is known."""
        text = text.strip()
        if not text:
            yield self.show(thread, self.agent.state(thread), text="")
            return
        if not THREAD.fullmatch(thread or ""):
            thread = self.agent.new_thread()
        before = self.show(thread, self.agent.state(thread))
        history = [*before.chat, render.bubble("user", text)]
        still = before._replace(known=gr.skip(), openers=gr.update(visible=False), text="")
        yield still._replace(chat=history, cards=gr.skip())
        try:
            for said, cards in self._stream(thread, text):
                reply = [render.bubble("agent", said)] if said else []
                yield still._replace(
                    chat=history + reply, cards=cards or gr.skip(), thread=gr.skip(), text=gr.skip()
                )
        except Exception as error:
            yield self._failed(thread, history, error)
        else:
            yield self.show(thread, self.agent.state(thread))._replace(text=gr.skip())

    def _stream(self, thread: str, text: str) -> Iterator[tuple[str, str]]:
        """The reply so far and the cards so far ("" while there is no slate), at each event."""
        sentences: list[str] = []
        shown: list[tuple[str, str]] = []
        slate: tuple[str, ...] = ()
        for event in self.agent.turn(thread, text):
            if event.kind == "slate":
                slate = event.item_ids
            elif event.kind == "sentence":
                sentences.append(event.text)
            elif event.kind == "card" and event.item_id:
                shown.append((event.item_id, event.text))
            said = render.reply(" ".join(sentences), [i for i, _ in shown], self.catalog)
            waiting = max(len(slate) - len(shown), 0)
            yield said, render.card_list(shown, self.catalog, waiting) if slate else ""

    def _failed(self, thread: str, history: list[dict[str, Any]], error: Exception) -> View:
        """The turn's message stays, what went wrong is said, and the chat can go on.

        Even a bug must not end what a person sees: it is logged whole, off the page.
        """
        if isinstance(error, ParleyError):
            why = str(error)
        else:
            log.error("a turn failed", exc_info=error)
            why = "Something went wrong while I was answering."
        note = f"{why} Our conversation is kept: try again, or press Undo."
        view = self.show(thread, self.agent.state(thread))
        return view._replace(chat=[*history, render.bubble("agent", note)])


def _listen(
    event: Callable[..., Any], act: Callable[..., Any], inputs: list[Any], *, outputs: list[Any]
) -> None:
    """Bind one event. Kept out of the public API: a conversation belongs to its browser."""
    event(
        act,
        inputs=inputs,
        outputs=outputs,
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=CONCURRENT_TURNS,
        concurrency_id="agent",
    )
