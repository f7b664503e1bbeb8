"""Single notes of twenty instruments, from the npm packages tonejs-instrument-*-mp3."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.downstream.corpora.corpus import Clip, Corpus, Reading, wrong_root
from ptsel_fairseq.downstream.corpora.packages import Package
from ptsel_fairseq.downstream.corpora.splits import fold_of, split_of

HOLDS = "folders of the npm packages, tonejs-instrument-NAME-mp3/package/NOTE.mp3"
PREFIX, SUFFIX = "tonejs-instrument-", "-mp3"
MOST_PIECES = 6  # of one second: what of a long note is more than its decay


def read(root: Path) -> Reading:
    """The notes, and their first seconds as segments; no note of an instrument is in two splits or folds."""
    import soundfile

    clips = []
    for file in sorted(root.glob(f"{PREFIX}*{SUFFIX}/package/*.mp3")):
        package = file.parts[-3]
        instrument = package.removeprefix(PREFIX).removesuffix(SUFFIX)
        key = f"{instrument} {file.stem}"
        pieces = min(MOST_PIECES, int(soundfile.info(file).duration))
        clips.append(
            Clip(
                file.relative_to(root).as_posix(),
                (split_of(key),),
                classes={"instrument": instrument, "note": file.stem, "fold": fold_of(key)},
                segments={"instrument_seconds": [(k, k + 1, instrument) for k in range(pieces)]},
            )
        )
    if not clips:
        raise wrong_root(root, HOLDS)
    return Reading(root, clips)


CORPUS = Corpus(
    name="tonejs",
    title="tonejs instruments",
    holds=HOLDS,
    read=read,
    published={"all": (450, 0.983)},
    source="the packages 1.1.1 and 1.1.2: 450 notes, 59.0 min",
    convert=True,
    licence="samples: CC BY 3.0, by tonejs-instruments and its sources; code: MIT",
    packages=tuple(
        Package("npm", f"tonejs-instrument-{name}-mp3", version, sha256)
        for name, version, sha256 in (
            ("bass-electric", "1.1.2", "7325081bfa65c00e33bf1d313ad426f55b84cffbcd80eaa992e24a1be8aee93c"),
            ("bassoon", "1.1.2", "7bf7857dd8e235cfbeae7b0ed691b8f0b3315dbc6eb65f7c9733b632b8d5b6f6"),
            ("cello", "1.1.1", "faddba054246478b8074d5f8b0182640b7f80caab457d580042a3db16d6b2192"),
            ("clarinet", "1.1.2", "fb2dd7ffb98f902bb4ad307d2eb4ea1ccca2963f0db04f805d5ebfade94ed55e"),
            ("contrabass", "1.1.2", "105a41e16e413ba3d0db2488e0012d449ff9b99eeff90cd2ed902c4ee3114faa"),
            ("flute", "1.1.2", "d31e8938982200c3a7b295945a2526752f62f3779f1c71ae6be1f0cc96369396"),
            ("french-horn", "1.1.2", "4b64503764017ce681e99585893515206de6d9765e1de1745bc86b540ecbf0ac"),
            ("guitar-acoustic", "1.1.2", "8e8708d63a7a24854781a74202742f8130eca5a68e9880cb8c95db2e9c0705ff"),
            ("guitar-electric", "1.1.1", "166600df07ea0deb369b195be08d198f21da3318bf29765dd35a0800ef61b070"),
            ("guitar-nylon", "1.1.1", "87328e71336dd5ef6cae0f24e3b8065302df986c914a799917fb45596e521aaa"),
            ("harmonium", "1.1.1", "0984c0389c8592d8288bdb2e9b2b905caf89fada3b611809afd8e71d367010c9"),
            ("harp", "1.1.1", "9100d5266a6e5c061ed509e1987144836b5d5106fd36b276cca510d5871a4f27"),
            ("organ", "1.1.1", "b8268276de3d1f514cea405636aee1d977e33ce6ea531bfd262d23056d4489e1"),
            ("piano", "1.1.2", "d564aa1c9cb691aa6816052924568cf40033ee5be3e32852872b4dcf93ecb446"),
            ("saxophone", "1.1.2", "5871de2f8445199495d1cf2d6a404c4159807b9681197c9fb7fc1555934e3bbc"),
            ("trombone", "1.1.2", "44c2d798aa41491d7b597d7213c969326f2477fec0f498ed221bdbafed25e46b"),
            ("trumpet", "1.1.2", "da360305defe60c3f92470d44264738aa13279c60b074fb8f10e1286c5cc7355"),
            ("tuba", "1.1.2", "35c0c30a9387bb4b89fd17192b26a68a72a8268b9de650fdb6f09ef1cfd00cb0"),
            ("violin", "1.1.1", "9e6cd2495e894adbed3b55061871711bc888cdf44209ee6164b70adfa0b7764c"),
            ("xylophone", "1.1.2", "c844fd335174b767856d05af77621b00077b885f3af8704dbf5d381ed6ee5505"),
        )
    ),
)
