"""From a CTC model's probabilities to text: the best path, or a beam search with a lexicon and a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.downstream.speech.spelling import letters

WORD_END = "|"
UNKNOWN = "<unk>"
SPECIAL = {"<s>", "<pad>", "</s>", UNKNOWN}
LEXICON_EXAMPLE = "PRESS<TAB>P R E S S |"


def collapse(log_probs: np.ndarray, blank: int = 0) -> list[int]:
    """The symbols of the most likely path: repeats in one, blanks left out (Graves et al. 2006, "best path")."""
    path = log_probs.argmax(axis=1)
    first = np.append(True, path[1:] != path[:-1])
    return path[first & (path != blank)].tolist()


def text_of(symbols: Sequence[str], unit: str) -> str:
    """Letters as words (``|`` ends one), or phones separated by spaces."""
    said = [symbol for symbol in symbols if symbol not in SPECIAL]
    if unit == "phone":
        return " ".join(said)
    return " ".join("".join(said).replace(WORD_END, " ").split())


@dataclass(frozen=True)
class BeamSearch:
    """flashlight's lexicon decoder with KenLM: ``score = log p(path) + lm_weight · lm + word_score · words``.

    Attributes:
        lexicon: words, one a line, with their spelling (`LEXICON_EXAMPLE`) or without.
        lm: n-gram model of words, ``.arpa`` or KenLM's binary; None for no language model.
        lm_weight: of the model's logarithms to the base 10.
        word_score: added for each word; above 0 favours more words.
        beam: hypotheses that are kept in each frame.
        threshold: hypotheses this much worse than the best are dropped.
    """

    lexicon: Path
    lm: Path | None = None
    lm_weight: float = 2.0
    word_score: float = -1.0
    beam: int = 100
    threshold: float = 50.0

    def text(self, log_probs: np.ndarray, symbols: Sequence[str]) -> str:
        """The words of the best hypothesis; raises PtselError for a lexicon or model that cannot be used."""
        decoder, words = _decoder(self, tuple(symbols))
        emissions = np.ascontiguousarray(log_probs, dtype=np.float32)
        hypotheses = decoder.decode(emissions.ctypes.data, *emissions.shape)
        if not hypotheses:
            return ""
        return " ".join(words.get_entry(word) for word in hypotheses[0].words if word >= 0)


@lru_cache(maxsize=1)
def _decoder(search: BeamSearch, symbols: tuple[str, ...]) -> tuple[Any, Any]:
    """flashlight's decoder and its words."""
    try:
        from flashlight.lib.text import decoder as lib
        from flashlight.lib.text.dictionary import create_word_dict

        if search.lm is not None:
            from flashlight.lib.text.decoder.kenlm import KenLM
    except ImportError as error:
        raise PtselError(
            f"--lexicon, --lm: a beam search needs flashlight-text and kenlm, which cannot be imported ({error}); pip "
            "install 'ptsel_fairseq[lm]', or leave both options out for the best path"
        ) from None
    number = {symbol: i for i, symbol in enumerate(symbols)}
    spellings = read_lexicon(search.lexicon, number)
    words = create_word_dict({**spellings, UNKNOWN: []})
    if search.lm is None:
        model = lib.ZeroLM()
    else:
        if not search.lm.is_file():
            raise PtselError(f"{search.lm}: no such file; expected an n-gram model (.arpa or KenLM's binary)")
        try:
            model = KenLM(str(search.lm), words)
        except RuntimeError as error:
            raise PtselError(f"{search.lm}: KenLM cannot read it ({str(error).splitlines()[0]})") from None
    trie = lib.Trie(len(symbols), number[WORD_END])
    start = model.start(False)
    for word, ways in spellings.items():
        index = words.get_index(word)
        _, score = model.score(start, index)
        for way in ways:
            trie.insert([number[symbol] for symbol in way], index, score)
    trie.smear(lib.SmearingMode.MAX)
    options = lib.LexiconDecoderOptions(
        beam_size=search.beam,
        beam_size_token=len(symbols),
        beam_threshold=search.threshold,
        lm_weight=search.lm_weight,
        word_score=search.word_score,
        unk_score=float("-inf"),
        sil_score=0.0,
        log_add=False,
        criterion_type=lib.CriterionType.CTC,
    )
    unknown = words.get_index(UNKNOWN)
    return lib.LexiconDecoder(options, trie, model, number[WORD_END], 0, unknown, [], False), words


def read_lexicon(file: Path, number: dict[str, int]) -> dict[str, list[list[str]]]:
    """The spellings of each word in the model's symbols; raise PtselError for one that the model cannot say."""
    if WORD_END not in number:
        raise PtselError(f"--lexicon: expected a model of letters, whose dictionary has {WORD_END!r}")
    spellings: dict[str, list[list[str]]] = {}
    for line_number, line in enumerate(
        read_lines(file, f"words, one a line, such as {LEXICON_EXAMPLE!r}"), start=1
    ):
        word, *spelled = line.split() or [""]
        way = spelled or letters(word).split()
        unknown = [symbol for symbol in way if symbol not in number]
        if not word or unknown or way[-1] != WORD_END:
            raise PtselError(
                f"{file}, line {line_number}: expected a word, or a word and its spelling in the model's symbols "
                f"with {WORD_END!r} at the end, such as {LEXICON_EXAMPLE!r}; found {line!r}"
                + (f" with {' '.join(unknown)}, which the model does not know" if unknown else "")
            )
        if way not in spellings.setdefault(word, []):
            spellings[word].append(way)
    if not spellings:
        raise PtselError(f"{file}: expected words such as {LEXICON_EXAMPLE!r}, found none")
    return spellings
