"""Says in the log when a training is not healthy, and what to look at."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

logger = logging.getLogger(__name__)

PATIENCE = 100  # updates in a row
REPEAT = 10_000  # updates between two warnings
COLLAPSED = 1.5  # codes in use of each codebook, on average


class CollapseWatch:
    """Warns when the quantiser has used hardly more than one code of each codebook for `PATIENCE` updates.

    Then all targets are alike: the contrastive loss says nothing about the speech, though it may look well.

    Args:
        codebooks: of the quantiser.
        codes: in each.
    """

    def __init__(self, codebooks: int, codes: int) -> None:
        self.codebooks, self.codes = codebooks, codes
        self.low = 0
        self.silent = 0

    def look(self, logging_outputs: Sequence[Mapping[str, Any]]) -> None:
        """Take note of one update, from the log outputs of all workers."""
        batches = sum(float(log.get("_batches", 0)) for log in logging_outputs)
        if not batches or not any("code_perplexity" in log for log in logging_outputs):
            return
        perplexity = sum(float(log.get("code_perplexity", 0)) for log in logging_outputs) / batches
        self.low = self.low + 1 if perplexity < COLLAPSED * self.codebooks else 0
        self.silent = max(0, self.silent - 1)
        if self.low < PATIENCE or self.silent:
            return
        self.silent = REPEAT
        pretext = sum(float(log.get("_pretext_weighted", 0)) for log in logging_outputs)
        whole = pretext + sum(float(log.get("loss", 0)) for log in logging_outputs)
        logger.warning(
            "code perplexity has been below %g for %d updates (now %.2f; %d codebooks of %d codes): the quantiser has "
            "collapsed. Look at the learning rate and its warm-up, criterion.loss_weights (the first is diversity), "
            "model.latent_temp, and the pretext labels' share, now %.0f %% of the loss (criterion.pretext_scale)",
            COLLAPSED * self.codebooks,
            self.low,
            perplexity,
            self.codebooks,
            self.codes,
            100 * pretext / (whole or 1),
        )
