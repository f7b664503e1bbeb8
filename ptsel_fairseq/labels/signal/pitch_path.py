"""The path of the pitch through its candidates, by dynamic programming (Viterbi)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.labels.signal.compiled import compiled

# Costs in the units of the candidates' scores.
JUMP_COST = 2.0  # for each octave
CHANGE_COST = 0.3  # between voiced and unvoiced


class PitchPath:
    """The path of highest score through candidates of F0 and the state "unvoiced"; they may come in pieces.

    With six candidates 31 bytes are held for each of the `steps`.
    """

    def __init__(self, steps: int, candidates: int) -> None:
        self._frequency = np.empty((steps, candidates), np.float32)
        self._came_from = np.empty((steps, candidates + 1), np.int8)
        self._total = np.zeros(candidates + 1)
        self._done = 0

    def extend(self, frequency: np.ndarray, score: np.ndarray, unvoiced: np.ndarray) -> None:
        """Go on by the next steps.

        Args:
            frequency, score: of the candidates, float32 [steps, candidates]; a score below 0 marks no candidate.
            unvoiced: score of having no pitch, [steps].
        """
        first, last = self._done, self._done + len(frequency)
        self._frequency[first:last] = frequency
        with_one_before = self._frequency[max(first - 1, 0) : last]
        compiled(_forward)(
            with_one_before, score, unvoiced, JUMP_COST, CHANGE_COST, self._total, self._came_from[first:last]
        )
        self._done = last

    def f0(self) -> np.ndarray:
        """F0 in Hz, float32 [steps], 0 where unvoiced."""
        return compiled(_backward)(self._frequency, self._total, self._came_from)


def _forward(
    frequency: Any,
    score: Any,
    unvoiced: Any,
    jump_cost: float,
    change_cost: float,
    total: Any,
    came_from: Any,
) -> None:
    """Scores of the best paths through the candidates of each frame and the state "unvoiced" (Viterbi).

    Args:
        frequency: [frames, candidates], with one row more in front if frames went before.
        score: [frames, candidates]; below 0 marks no candidate.
        unvoiced: [frames], score of being unvoiced.
        jump_cost: for each octave between neighbours; change_cost: between voiced and unvoiced.
        total: [candidates + 1], score of the best path to each state so far; brought up to date.
        came_from: [frames, candidates + 1], filled with the state before on the best path.
    """
    frames, states = score.shape[0], score.shape[1] + 1
    last = states - 1
    octave = np.log2(frequency)
    earlier = frequency.shape[0] - frames
    for t in range(frames):
        previous = total.copy()
        for k in range(states):
            came_from[t, k] = 0
            own = unvoiced[t] if k == last else score[t, k]
            if k != last and own < 0:
                total[k] = -1e30
                continue
            if t + earlier == 0:
                total[k] = own
                continue
            best, best_from = -1e31, last
            for j in range(states):
                cost = 0.0
                if (k == last) != (j == last):
                    cost = change_cost
                elif k != last:
                    cost = jump_cost * abs(octave[t + earlier, k] - octave[t + earlier - 1, j])
                if previous[j] - cost > best:
                    best, best_from = previous[j] - cost, j
            total[k] = best + own
            came_from[t, k] = best_from


def _backward(frequency: Any, total: Any, came_from: Any) -> Any:
    """The frequencies along the best path of `_forward`, float32 [frames], 0 where unvoiced."""
    frames, last = came_from.shape[0], came_from.shape[1] - 1
    result = np.zeros(frames, np.float32)
    state = int(np.argmax(total))
    for t in range(frames - 1, -1, -1):
        result[t] = 0.0 if state == last else frequency[t, state]
        state = int(came_from[t, state])
    return result
