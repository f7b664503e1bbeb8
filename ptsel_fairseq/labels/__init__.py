"""Pretext labels: named functions of the waveform, as tracks on the frame grid of the encoder.

    from ptsel_fairseq import labels

    tracks = labels.compute(waveform, ["f0", "loudness"], sample_rate=16000)   # name -> Track(values, valid)
    labels.extract("data/train.tsv", ["zaiem_speech"], "store")                # of a whole split, into a store
    store = labels.LabelStore("store", "train")

Importing this package imports neither torch nor numpy; each name is imported when it is first used.

Examples:
    >>> from ptsel_fairseq import labels
    >>> labels.names()[:3]
    ['alpha_ratio', 'audspec_l1', 'chroma']
    >>> labels.get("f0").unit, labels.get("f0").dim
    ('Hz', 1)
    >>> labels.POOLS["zaiem_speech"]
    ('alpha_ratio', 'f0', 'log_hnr', 'rasta_l1', 'rms_energy', 'voicing', 'zcr')
"""

from typing import TYPE_CHECKING

from ptsel_fairseq.base.late import late_attributes

if TYPE_CHECKING:
    from ptsel_fairseq.labels.batch import compute_batch as compute_batch
    from ptsel_fairseq.labels.codes.make import make_codes as make_codes
    from ptsel_fairseq.labels.dataset import CropDataset as CropDataset
    from ptsel_fairseq.labels.dataset import UpdateBatches as UpdateBatches
    from ptsel_fairseq.labels.extraction.extract import extract as extract
    from ptsel_fairseq.labels.label import Label as Label
    from ptsel_fairseq.labels.label import Track as Track
    from ptsel_fairseq.labels.pools import POOLS as POOLS
    from ptsel_fairseq.labels.registry import get as get
    from ptsel_fairseq.labels.registry import names as names
    from ptsel_fairseq.labels.store.reader import LabelInfo as LabelInfo
    from ptsel_fairseq.labels.store.reader import LabelStore as LabelStore
    from ptsel_fairseq.labels.store.reader import Statistics as Statistics
    from ptsel_fairseq.labels.user import register as register
    from ptsel_fairseq.labels.user import register_torch as register_torch
    from ptsel_fairseq.labels.waveform import compute as compute
    from ptsel_fairseq.labels.waveform import draw as draw
else:
    _PLACES = {
        "CropDataset": "dataset",
        "LabelInfo": "store.reader",
        "LabelStore": "store.reader",
        "Label": "label",
        "POOLS": "pools",
        "Statistics": "store.reader",
        "Track": "label",
        "UpdateBatches": "dataset",
        "compute": "waveform",
        "compute_batch": "batch",
        "draw": "waveform",
        "extract": "extraction.extract",
        "get": "registry",
        "make_codes": "codes.make",
        "names": "registry",
        "register": "user",
        "register_torch": "user",
    }
    __getattr__, __dir__ = late_attributes(__name__, _PLACES)

__all__ = [
    "POOLS",
    "CropDataset",
    "Label",
    "LabelInfo",
    "LabelStore",
    "Statistics",
    "Track",
    "UpdateBatches",
    "compute",
    "compute_batch",
    "draw",
    "extract",
    "get",
    "make_codes",
    "names",
    "register",
    "register_torch",
]
