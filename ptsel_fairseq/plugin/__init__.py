"""The rooms that import fairseq: dataset, model, criterion and task, registered on import."""

import warnings

try:
    import fairseq
    from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion  # noqa: F401
    from fairseq.data import FileAudioDataset  # noqa: F401
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Model  # noqa: F401
    from fairseq.tasks.audio_pretraining import AudioPretrainingTask  # noqa: F401
except ModuleNotFoundError as error:
    _found = "no fairseq" if error.name == "fairseq" else f"a fairseq that lacks {error.name}"
    raise ImportError(
        f"the training plugin of ptsel_fairseq found {_found}; install one that fits this Python, for example "
        "pip install 've-fairseq>=0.12.3' (Python 3.11, 3.12), or 'ptsel_fairseq[fairseq]'"
    ) from None
except ImportError as error:
    raise ImportError(
        f"the training plugin of ptsel_fairseq needs wav2vec 2.0 as in fairseq 0.12.2 or later; "
        f"{getattr(fairseq, '__file__', 'the fairseq found')} lacks it ({error}); "
        "install one that fits this Python, for example pip install 've-fairseq>=0.12.3' (Python 3.11, 3.12)"
    ) from None

# Loud at every start or step, and nothing that a user could do about them: fairseq's own code.
warnings.filterwarnings(
    "ignore", message=".*torch.nn.utils.weight_norm.* is deprecated", category=FutureWarning
)
warnings.filterwarnings(
    "ignore",
    message="Converting a tensor with requires_grad=True to a scalar",
    category=UserWarning,
    module=r"fairseq\.criterions",
)
warnings.filterwarnings(
    "ignore",
    message=r".*torch\.cuda\.amp\.autocast.* is deprecated",
    category=FutureWarning,
    module=r"fairseq\.tasks",
)

from ptsel_fairseq.base.extensions import THIS_PACKAGE, registering  # noqa: E402
from ptsel_fairseq.plugin import criterion, task  # noqa: E402,F401

with registering(THIS_PACKAGE, THIS_PACKAGE):
    from ptsel_fairseq.plugin.encoders import cnn, crdnn, ctc, wav2vec2_loading  # noqa: F401

try:
    import fairseq.models.wav2vec.wav2vec2_classification
    import fairseq.tasks.audio_classification
except ModuleNotFoundError:
    pass  # of fairseq 0.12.2 and before; all else works without
else:
    from ptsel_fairseq.plugin import classification_task  # noqa: F401
