"""How a turn is read by rules: small pure readers over one text, put together by
``agent.understand``.

``cues`` says under which operator a word stands ("no", "I loved", "forget"), ``lexicon``
knows a catalogue's own words, ``numbers``, ``values``, ``refs``, ``questions`` and
``intents`` each read one kind of thing. Nothing here knows that the items are films.
"""
