"""How the weight of the pretext part changes over a run."""

from __future__ import annotations

from dataclasses import dataclass

from ptsel_fairseq.base.errors import PtselError


@dataclass(frozen=True)
class ScaleSchedule:
    """`scale`, rising linearly over the first `warmup` updates, falling over the last `decay` before `stop`.

    Attributes:
        stop: the update from which the pretext part counts nothing; 0 for never.
    """

    scale: float
    warmup: int = 0
    decay: int = 0
    stop: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise PtselError(f"criterion.pretext_scale: expected a number of at least 0, found {self.scale}")
        for name in ("warmup", "decay", "stop"):
            if getattr(self, name) < 0:
                raise PtselError(
                    f"criterion.pretext_{name}_updates: expected at least 0, found {getattr(self, name)}"
                )
        if self.decay and self.stop < self.warmup + self.decay:
            raise PtselError(
                f"criterion.pretext_stop_updates: expected at least pretext_warmup_updates + pretext_decay_updates = "
                f"{self.warmup + self.decay}, found {self.stop}; the decay ends where the pretext part stops"
            )

    @property
    def constant(self) -> bool:
        return not (self.warmup or self.stop)

    def at(self, update: int) -> float:
        """The scale of the update after `update` finished ones."""
        if self.stop and update >= self.stop:
            return 0.0
        factor = min(1.0, (update + 1) / self.warmup) if self.warmup else 1.0
        if self.decay:
            factor = min(factor, (self.stop - update) / self.decay)
        return self.scale * factor
