"""What stands over one catalogue folder, opened once and kept up to date with little.

A running agent looks at its folder several times a second; as long as no file there changed, a
look is a dozen ``stat`` calls. A segment that ``catalog.update`` wrote is taken up by everything
that is indexed by row, some tenths of a second at a million items; another catalogue is opened
whole. What cannot be used is an error once, and again only when the folder has changed again.
"""

import copy
import logging
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.reading.lexicon import Lexicon
from agent.settings import Settings
from agent.understand import keep_lexicon, lexicon_of
from catalog import folder, segments
from catalog.embed import Embedder, fits
from catalog.errors import CatalogError, ParleyError
from catalog.growth import grown, places
from catalog.items import Catalog
from catalog.rules import CompiledRules, Rules
from catalog.store import VectorStore
from tools.candidates import Candidates
from tools.find_title import TitleLinker

log = logging.getLogger(__name__)
Stamp = tuple[tuple[str, int, int, int], ...]


class Shelf(NamedTuple):
    """A catalogue and what is indexed by its rows."""

    catalog: Catalog
    linker: TitleLinker
    candidates: Candidates
    store: VectorStore
    rules: CompiledRules | None
    rules_file: bytes


class Place:
    """One catalogue folder: ``opened`` at the start, ``renewed`` whenever somebody looks."""

    def __init__(self, settings: Settings, embedder: Embedder) -> None:
        self.settings = settings
        self.embedder = embedder
        self._shelf: Shelf | None = None
        self._known_as = ""  # the fingerprint that the folder gives what is in use
        self._seen: Stamp = ()
        self._failed: ParleyError | None = None

    def opened(self) -> Shelf:
        """Everything over the catalogue that lies in its folder now. Raises ``ParleyError``."""
        settings = self.settings
        seen, rules_file = self._stamp(), read_rules(settings.rules)
        fits(folder.read_manifest(settings.catalog).get("encoder"), settings.catalog)
        catalog = Catalog.open(settings.catalog)
        rules = Rules.read(settings.rules).compile(catalog) if settings.rules else None
        kept = settings.home / "index" / f"{settings.catalog.resolve().name}.titles.npz"
        for facet in catalog.domain.facets:  # built here, so that no person's turn waits for it
            if facet.kind in ("categories", "people"):
                catalog.holders(facet.name)
        lexicon_of(catalog)
        self._shelf = Shelf(
            catalog,
            TitleLinker(catalog, kept),
            Candidates.open(catalog, self.embedder, settings.model / "ranker.npz"),
            VectorStore.open(catalog, settings.chroma_url or settings.home),
            rules,
            rules_file,
        )
        self._seen, self._failed, self._known_as = seen, None, catalog.fingerprint
        return self._shelf

    def renewed(self) -> Shelf | None:
        """What is to be used from now on; None while that is what is in use.

        Raises:
            ParleyError: what lies there now cannot be used.
        """
        seen = self._stamp()
        if seen == self._seen:
            if self._failed is not None:
                raise self._failed
            return None
        try:
            shelf = self._renewed()
        except ParleyError as error:
            self._seen, self._failed = seen, error
            raise
        self._seen, self._failed = seen, None
        return shelf

    def _renewed(self) -> Shelf | None:
        path, held = self.settings.catalog, self._shelf
        if held is None:
            return self.opened()
        manifest = folder.read_manifest(path)
        head = segments.read_head(path, manifest)
        folder.check_sizes(path, manifest)
        lacking = head.after(self._known_as)
        mapped = isinstance(held.catalog.vectors, np.memmap)
        if lacking is None and manifest.get("same_as") == self._known_as and not mapped:
            lacking = head.segments  # written anew without segments, the same items
        if lacking is None:
            return self.opened()
        rules_file = read_rules(self.settings.rules)
        if lacking:
            shelf = self._taken_up(held, lacking, head)
        elif rules_file != held.rules_file:
            shelf = held
        else:
            self._known_as = head.fingerprint
            return None
        rules = self.settings.rules
        compiled = Rules.read(rules).compile(shelf.catalog) if rules else None
        if folder.fingerprint(folder.read_manifest(path)) != head.base:
            return self.opened()  # swapped just now
        self._known_as = head.fingerprint
        self._shelf = shelf._replace(rules=compiled, rules_file=rules_file)
        return self._shelf

    def _taken_up(
        self, held: Shelf, lacking: tuple[segments.Segment, ...], head: segments.Head
    ) -> Shelf:
        """What is in use after some segments; it is not changed itself."""
        before = held.catalog
        change = segments.read(self.settings.catalog, lacking)
        assert change is not None
        after = grown(before, change, head.fingerprint)
        if isinstance(after.vectors, np.memmap) and len(after) != head.total:
            raise CatalogError(
                f"{self.settings.catalog / segments.HEAD} says {head.total} rows, the catalogue "
                f"in use comes to {len(after)}: start again to open it anew."
            )
        rows = places(before, change.df["id"].to_list())[0]
        gone = [after.place(item) for item in change.removed]
        rows = np.union1d(rows, np.array(gone, dtype=np.int64))
        keep_lexicon(after, lexicon_after(before, after))
        log.info("%s segments taken up, %s rows changed", len(lacking), len(rows))
        return held._replace(
            catalog=after,
            linker=held.linker.grown(after, rows),
            candidates=held.candidates.grown(after, rows),
            store=held.store.grown(after),
        )

    def _stamp(self) -> Stamp:
        """Inode, size and time of every file that a catalogue is read from."""
        path = self.settings.catalog
        names = ("manifest.json", segments.HEAD, "domain.yaml", "vectors.npy", *folder.DATA_FILES)
        files = [*(path / name for name in names)]
        if self.settings.rules is not None:
            files.append(self.settings.rules)
        out = []
        for file in files:
            try:
                seen = file.stat()
            except OSError:
                continue
            out.append((file.name, seen.st_ino, seen.st_size, seen.st_mtime_ns))
        return tuple(out)


def lexicon_after(before: Catalog, after: Catalog) -> Lexicon:
    """The lexicon after a change: the same one, or a copy that knows the new values too."""
    old = lexicon_of(before)
    facets = [f for f in after.domain.facets if f.kind == "categories" and f.filterable]
    new = {
        facet.name: [v for v in after.values(facet.name) if v not in before.values(facet.name)]
        for facet in facets
    }
    if not any(new.values()):
        return old
    lexicon = copy.copy(old)
    lexicon.values = defaultdict(list, {key: list(held) for key, held in old.values.items()})
    for facet in facets:
        lexicon._add_values(facet, dict.fromkeys(new[facet.name], 1))
    fresh = [surface for surface in lexicon.values if surface not in old.values]
    lexicon.words = old.words | {w for s in fresh for w in s.split(" ") if len(w) >= 5}
    return lexicon


def read_rules(rules: Path | None) -> bytes:
    """The rules as they lie there; what cannot be read is reported by ``Rules.read``."""
    try:
        return rules.read_bytes() if rules else b""
    except OSError:
        return b""
