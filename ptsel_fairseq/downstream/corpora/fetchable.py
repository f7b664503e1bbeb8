"""Corpora that public registries hold, by the name that `ptsel fetch` takes, with their packages and licences."""

from __future__ import annotations

from dataclasses import dataclass

from ptsel_fairseq.downstream.corpora import (
    amazon_queen,
    asterisk,
    fish_fillets,
    fluidr3mono,
    polish_emotions,
    tonejs,
)
from ptsel_fairseq.downstream.corpora.corpus import Corpus
from ptsel_fairseq.downstream.corpora.packages import Package


@dataclass(frozen=True)
class Registered:
    """A corpus in packages: what its licence allows, in short, and the files to download."""

    corpus: Corpus
    licence: str
    packages: tuple[Package, ...]


ASTERISK = (
    Package(
        "apt",
        "asterisk-core-sounds-en-g722",
        "1.6.1-1",
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-en",
        "1.6.1-1",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-es-g722",
        "1.6.1-1",
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-es",
        "1.6.1-1",
        "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-fr-g722",
        "1.6.1-1",
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-fr",
        "1.6.1-1",
        "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-it-g722",
        "1.6.1-1",
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-it",
        "1.6.1-1",
        "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-ru-g722",
        "1.6.1-1",
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
    ),
    Package(
        "apt",
        "asterisk-core-sounds-ru",
        "1.6.1-1",
        "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
    ),
)
FISH_FILLETS = (
    Package(
        "apt",
        "fillets-ng-data-cs",
        "1.0.1-1.1",
        "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
    ),
    Package(
        "apt",
        "fillets-ng-data-nl",
        "1.0.1-1.1",
        "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
    ),
    Package(
        "apt",
        "fillets-ng-data",
        "1.0.1-1.1",
        "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
    ),
)
TONEJS = tuple(
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
)

REGISTERED: dict[str, Registered] = {
    "asterisk": Registered(
        asterisk.CORPUS,
        "English, Spanish, French: CC BY-SA 3.0; Italian, Russian: CC BY 3.0. Credits: Allison Smith, June Wallack, "
        "Carlo Flora, Maxim Topal",
        ASTERISK,
    ),
    "amazon-queen": Registered(
        amazon_queen.CORPUS,
        "its own: free to distribute with its readme and notices, changed versions marked, no fee for the game itself",
        (
            Package(
                "apt",
                "flight-of-the-amazon-queen",
                "1.0.0-9",
                "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
            ),
        ),
    ),
    "fish-fillets": Registered(fish_fillets.CORPUS, "GPL-2", FISH_FILLETS),
    "polish-emotions": Registered(
        polish_emotions.CORPUS,
        "NOT STATED by the package that holds it; do not pass it on, and cite doi 10.34808/h46c-hb44",
        (
            Package(
                "pip",
                "nkululeko",
                "1.14.1",
                "a1eb6d5c5047cda99561d1f872a5f841b3e77bccc19d754b32437cbd3f2208d2",
            ),
        ),
    ),
    "tonejs": Registered(
        tonejs.CORPUS, "samples: CC BY 3.0, by tonejs-instruments and its sources; code: MIT", TONEJS
    ),
    "fluidr3mono": Registered(
        fluidr3mono.CORPUS,
        "MIT",
        (
            Package(
                "apt",
                "fluidr3mono-gm-soundfont",
                "2.315-7",
                "4098301bf29f4253c2f5799a844f42dd4aa733d91a210071ad16d7757dea51d6",
            ),
        ),
    ),
}
