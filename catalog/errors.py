"""The one exception family of Parley.

Every error a person or a caller can meet derives from ``ParleyError`` and says
three things: the value, the limit, the remedy. Bugs stay ordinary exceptions.

    ParleyError
    ├── CatalogError            a catalogue folder or item that is missing or malformed
    │   ├── BuildError          a source that cannot be built into a catalogue
    │   ├── EmbedError          the text encoder is missing or not the one we expect
    │   ├── FilterError         a clause with an unknown field, operator or value
    │   ├── RuleError            business rules that cannot be read or do not fit the catalogue
    │   ├── SemanticIdError     codes that cannot be assigned or are not unique
    │   ├── SlateError          a dead prefix or unusable weights in the slate mask
    │   └── StoreError          the vector store cannot be opened or queried
    └── (tools, agent, training and evals derive their own)
"""


class ParleyError(Exception):
    """Root of everything Parley raises on purpose."""


class CatalogError(ParleyError):
    """A catalogue folder, facet or item is missing or malformed."""


class BuildError(CatalogError):
    """A source folder cannot be built into a catalogue."""


class EmbedError(CatalogError):
    """The text encoder is missing, damaged, or not the one the vectors came from."""


class FilterError(CatalogError):
    """A clause names an unknown facet, operator or value."""


class RuleError(CatalogError):
    """A business rule has an unknown field, a bad value, or contradicts another."""


class SemanticIdError(CatalogError):
    """Semantic IDs cannot be assigned, or two items share one."""


class SlateError(CatalogError):
    """The slate mask has no allowed continuation, or was given unusable weights."""


class StoreError(CatalogError):
    """The vector store cannot be opened or queried."""
