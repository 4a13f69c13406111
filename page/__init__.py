"""What the chat page shows, as HTML text. The page itself is ``app.py``."""
