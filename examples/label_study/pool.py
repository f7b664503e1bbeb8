"""A pool of the study as a stream of frames."""

from __future__ import annotations

from corpora import POOL_SPLIT, is_test
from settings import Settings
from study_tools.stream import Stream, Track

from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore

__all__ = ["Pool", "Track"]


class Pool(Stream):
    """The recordings of one pool; their paths are below the corpora's folder."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        manifest = read_manifest(settings.out / "data" / name / f"{POOL_SPLIT}.tsv")
        super().__init__(manifest, LabelStore(settings.out / "store" / name, POOL_SPLIT), is_test)
