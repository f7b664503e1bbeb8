"""Label stores on disk: read, written, resumed, verified."""

from ptsel_fairseq.labels.store.reader import LabelStore

__all__ = ["LabelStore"]
