"""One protocol for every language model that talks, and the four that speak it.

* ``TransformersLLM``: parley-small in this process; slots that have no evidence cannot
  be written, because the decoder masks them.
* ``EndpointLLM``: any OpenAI-compatible server (vLLM's included).
* ``BatchingLLM``: merges the calls of many threads into one batch of the model behind it.
* ``ScriptedLLM``: says what it is told; for tests.

``generate`` takes a batch and reports each completion the moment it is finished, so a
reply can be verified and shown unit by unit. Each lives in a file of ``agent/engines``.
"""

from agent.engines.batching import BatchingLLM
from agent.engines.endpoint import EndpointLLM
from agent.engines.local import TransformersLLM
from agent.engines.protocol import LLM, Completion, OnText, Request
from agent.engines.scripted import ScriptedLLM

__all__ = [
    "LLM",
    "BatchingLLM",
    "Completion",
    "EndpointLLM",
    "OnText",
    "Request",
    "ScriptedLLM",
    "TransformersLLM",
]
