"""The engines behind ``agent.llm`` and the slate tool; import from ``agent.llm``."""
