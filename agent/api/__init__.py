"""Parley for programs: REST under /api/v1 and OpenAI's protocol under /v1, one FastAPI app.

agent/api/app.py puts it together; page/server.py lets it answer beside the page.
"""
