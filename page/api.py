"""The public function of a running Parley, for programs: `gradio_client` calls it by name.

    client = gradio_client.Client("http://127.0.0.1:7860")
    answer = client.predict("a funny film", "", api_name="/chat")
    client.predict("shorter, please", answer["conversation"], api_name="/chat")

It goes through Gradio's queue, so any number of clients may call at once. Conversations that
began here go on here: a browser's are its own.
"""

import uuid
from typing import Any

import gradio as gr
from gradio.events import api

from agent.agent import Agent
from page.chat import CONCURRENT_TURNS, NAME, PageError

USER = "api"


def blocks(agent: Agent) -> gr.Blocks:
    """The Gradio app: one endpoint; people use the page that page/server.py lays over it."""

    def chat(message: str, conversation: str = "") -> dict[str, Any]:
        """Say something and get Parley's whole reply. Give the conversation it names next time."""
        try:
            return answer(agent, message, conversation)
        except Exception as error:
            # Gradio shows a client the words of its own error only.
            raise gr.Error(str(error), print_exception=False) from error

    def history(conversation: str) -> list[dict[str, str]]:
        """Everything said in a conversation, in order: ``[{"role", "text"}]``."""
        try:
            return said(agent, conversation)
        except Exception as error:
            raise gr.Error(str(error), print_exception=False) from error

    made: gr.Blocks
    with gr.Blocks(title="Parley", analytics_enabled=False) as made:
        api(
            chat,
            api_name="chat",
            concurrency_limit=CONCURRENT_TURNS,
            concurrency_id="agent",
        )
        api(history, api_name="history", concurrency_limit=CONCURRENT_TURNS)
    made.queue(default_concurrency_limit=CONCURRENT_TURNS)
    return made


def answer(agent: Agent, message: str, conversation: str = "") -> dict[str, Any]:
    """``{"conversation", "reply", "items": [{"id", "title"}], "act"}`` for one message.

    Raises:
        PageError: an empty message, or a conversation that is none of this function's.
    """
    thread = conversation or uuid.uuid4().hex
    if not NAME.fullmatch(thread):
        raise PageError(
            f"No conversation {thread[:60]!r}: give the name that a former answer gave, "
            "or nothing to begin one."
        )
    if not message.strip():
        raise PageError("The message is empty: say something.")
    state = agent.state(thread)
    if state.turns and state.user != USER:
        raise PageError("There is no such conversation here.", 404)
    last = None
    for event in agent.turn(thread, message, user=USER):
        last = event
    turn = last.turn if last else None
    ids = turn.slate.item_ids if turn and turn.slate else ()
    catalog = agent.catalog
    return {
        "conversation": thread,
        "reply": turn.text if turn else "",
        "items": [{"id": i, "title": catalog.item(i).title} for i in ids if catalog.has(i)],
        "act": turn.act if turn else None,
    }


def said(agent: Agent, conversation: str) -> list[dict[str, str]]:
    """The turns of one of this function's conversations. ``PageError`` 404 if it is none."""
    state = agent.state(conversation)
    if not state.turns or state.user != USER:
        raise PageError("There is no such conversation here.", 404)
    return [{"role": turn.role, "text": turn.text} for turn in state.turns]
