"""After pretraining: corpora, metrics with intervals, probes of frozen features, and comparisons of systems.

    from ptsel_fairseq import downstream

    result = downstream.evaluate_asr(reference, hypothesis)         # WER, CER with intervals
    other = downstream.probe_features(x, classes, splits)           # accuracy, UAR, macro-F1 with intervals
    print(downstream.compare_systems([other, third]))               # differences and paired p

Every metric is a share (0.25 is 25 %). Importing this package imports neither torch nor numpy; each name is imported
when it is first used.

Examples:
    >>> from ptsel_fairseq import downstream
    >>> result = downstream.evaluate_verification([1, 0, 1, 0], [0.9, 0.2, 0.7, 0.1], name="cosine")
    >>> result["eer"].value
    0.0
    >>> downstream.corpus_names()[:3]
    ['amazon-queen', 'asterisk', 'audioset']
"""

from typing import TYPE_CHECKING

from ptsel_fairseq.base.late import late_attributes

if TYPE_CHECKING:
    from ptsel_fairseq.downstream.corpora.corpus import Clip as Clip
    from ptsel_fairseq.downstream.corpora.corpus import Corpus as Corpus
    from ptsel_fairseq.downstream.corpora.corpus import Reading as Reading
    from ptsel_fairseq.downstream.corpora.registry import corpus_names as corpus_names
    from ptsel_fairseq.downstream.corpora.registry import register_corpus as register_corpus
    from ptsel_fairseq.downstream.features.front_end import FrontEnd as FrontEnd
    from ptsel_fairseq.downstream.features.front_end import front_end as front_end
    from ptsel_fairseq.downstream.metrics.code_quality import CodeQuality as CodeQuality
    from ptsel_fairseq.downstream.metrics.code_quality import code_quality as code_quality
    from ptsel_fairseq.downstream.metrics.compare import Comparison as Comparison
    from ptsel_fairseq.downstream.metrics.compare import Difference as Difference
    from ptsel_fairseq.downstream.metrics.compare import compare_systems as compare_systems
    from ptsel_fairseq.downstream.metrics.functions import evaluate_asr as evaluate_asr
    from ptsel_fairseq.downstream.metrics.functions import evaluate_classification as evaluate_classification
    from ptsel_fairseq.downstream.metrics.functions import evaluate_multilabel as evaluate_multilabel
    from ptsel_fairseq.downstream.metrics.functions import evaluate_regression as evaluate_regression
    from ptsel_fairseq.downstream.metrics.functions import evaluate_verification as evaluate_verification
    from ptsel_fairseq.downstream.metrics.results import Metric as Metric
    from ptsel_fairseq.downstream.metrics.results import Result as Result
    from ptsel_fairseq.downstream.metrics.results import read_result as read_result
    from ptsel_fairseq.downstream.metrics.results import write_result as write_result
    from ptsel_fairseq.downstream.probing.functions import probe_features as probe_features
    from ptsel_fairseq.downstream.probing.functions import probe_relevance as probe_relevance
    from ptsel_fairseq.downstream.probing.functions import probe_transcripts as probe_transcripts
    from ptsel_fairseq.downstream.probing.functions import probe_values as probe_values
    from ptsel_fairseq.downstream.probing.functions import verify_trials as verify_trials
else:
    _PLACES = {
        "Clip": "corpora.corpus",
        "CodeQuality": "metrics.code_quality",
        "Comparison": "metrics.compare",
        "Corpus": "corpora.corpus",
        "Difference": "metrics.compare",
        "FrontEnd": "features.front_end",
        "Metric": "metrics.results",
        "Reading": "corpora.corpus",
        "Result": "metrics.results",
        "code_quality": "metrics.code_quality",
        "compare_systems": "metrics.compare",
        "corpus_names": "corpora.registry",
        "evaluate_asr": "metrics.functions",
        "evaluate_classification": "metrics.functions",
        "evaluate_multilabel": "metrics.functions",
        "evaluate_regression": "metrics.functions",
        "evaluate_verification": "metrics.functions",
        "front_end": "features.front_end",
        "probe_features": "probing.functions",
        "probe_relevance": "probing.functions",
        "probe_transcripts": "probing.functions",
        "probe_values": "probing.functions",
        "read_result": "metrics.results",
        "register_corpus": "corpora.registry",
        "verify_trials": "probing.functions",
        "write_result": "metrics.results",
    }
    __getattr__, __dir__ = late_attributes(__name__, _PLACES)

__all__ = [
    "Clip",
    "CodeQuality",
    "Comparison",
    "Corpus",
    "Difference",
    "FrontEnd",
    "Metric",
    "Reading",
    "Result",
    "code_quality",
    "compare_systems",
    "corpus_names",
    "evaluate_asr",
    "evaluate_classification",
    "evaluate_multilabel",
    "evaluate_regression",
    "evaluate_verification",
    "front_end",
    "probe_features",
    "probe_relevance",
    "probe_transcripts",
    "probe_values",
    "read_result",
    "register_corpus",
    "verify_trials",
    "write_result",
]
