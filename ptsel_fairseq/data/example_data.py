"""`ptsel example-data`: the bundled speech as a folder of one's own, to try every step on."""

from __future__ import annotations

import shutil
from pathlib import Path

from ptsel_fairseq.base.bundled import SPEECH, bundled
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile


def example_data_command(out: Path | str) -> None:
    """Copy 11 minutes of speech with manifests, texts and class files; files that are there already are kept.

    Raises:
        PtselError: `out` is a file, or holds another file under a name that is to be written.
    """
    out, source = Path(out), bundled(SPEECH)
    if out.is_file():
        raise PtselError(f"{out}: expected a folder, found a file")
    files = [
        file for file in sorted(source.rglob("*")) if file.is_file() and file.suffix not in (".py", ".pyc")
    ]
    for file in files:
        copy = out / file.relative_to(source)
        if copy.is_file():
            if copy.stat().st_size != file.stat().st_size:
                raise PtselError(f"{copy}: is there already and differs; give an empty folder")
            continue
        with WholeFile(copy) as out_file, file.open("rb") as content:
            shutil.copyfileobj(content, out_file)
    print(f"{out}: {len(files)} files; licence and credits are in {out / 'LICENSE'} and {out / 'CREDITS'}")
    print(f"next: ptsel manifest {out} --out DATA_DIR")
