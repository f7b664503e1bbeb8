"""What all pictures share: colours that the colour-blind can tell apart (Okabe and Ito), and how they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#999999"
FORMATS = "png", "pdf", "svg", "eps", "jpg"
COLOURS = BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK


def save(figure: Figure, file: Path | str) -> None:
    """Write a picture in the format of its name (PNG if it has no suffix).

    Raises:
        PtselError: another format, or the file cannot be written.
    """
    kind = picture_format(file)
    with WholeFile(file) as out:
        draw(figure, out, dpi=150, format=kind)


def picture_format(file: Path | str) -> str:
    """The format of a picture by its name, such as ``png``; PNG if the name has no suffix.

    Raises:
        PtselError: a suffix of no format that is written.
    """
    kind = Path(file).suffix.lstrip(".").lower() or "png"
    if kind not in FORMATS:
        *others, last = (f".{each}" for each in FORMATS)
        raise PtselError(f"{file}: expected a picture ending in {', '.join(others)} or {last}")
    return kind


def draw(figure: Figure, out: BinaryIO, **how: Any) -> None:
    """Draw a picture into a file; a dollar in a name is a dollar, not the beginning of a formula."""
    import warnings

    import matplotlib
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter):  # which writes powers of ten as formulas
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        # Names in scripts that no installed font has are drawn as boxes; the tables show them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(out, **how)
