"""Damaged and hostile files of every kind that is read: each must be read, or refused in one line that names it.

    python benchmarks/fuzz.py [--cases N] [--seed N] [--kinds KIND ...]

A case is a file of one kind, whole at first, that is then cut off, overwritten, doubled, or given values of another
type. What reads it may return or raise PtselError whose message is one line with the file's name. Counted as faults are
other exceptions, messages without the file's name, cases that take longer than `LONGEST` seconds, and ones that take
more than `MOST_MEMORY` bytes. With the same seed the cases are the same. `--keep FOLDER` keeps the files of faults.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from common import ASTERISK, RECIPES, Figure, finish, parse, parser_of

from ptsel_fairseq.base.errors import PtselError

LONGEST = 20  # seconds of a case
MOST_MEMORY = 1 << 30  # bytes that a case may add to what the process holds at its most
TOKENS = (
    *(
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-1",
        b"9" * 400,
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b"\x00",
        b"\xff\xfe",
    ),
    *(
        "\ufeff".encode(),
        "\u2028".encode(),
        b"\r",
        b"\t",
        b"\n\n",
        b"$x_{",
        b"${oc.env:HOME}",
        b"&a [*a]",
        b"!!python/none x",
    ),
)
VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        10**30,
        0.0,
        -1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "NaN",
        "1",
        "\x00",
    ),
    *(
        [],
        {},
        [[]],
        {"": {}},
        [None],
        ["a", 1],
        {"a": [1]},
        "${oc.env:HOME}",
        "../../x",
        "a\tb\nc",
        "$\\frac{",
        10**400,
    ),
)

Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        whole: contents to begin with.
        name: of the file.
        read: what the project does with it; the file's folder holds nothing else.
        mutations: ways to damage it.
        weight: how often it is taken, against the others.
    """

    whole: Sequence[bytes]
    name: str
    read: Callable[[Path], object]
    mutations: Sequence[Mutation]
    weight: float = 1.0


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def overwrite(content: bytes, draw: random.Random) -> bytes:
    """Some bytes become others, more often near the beginning, where headers are."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16, 64))):
        if changed:
            place = (
                draw.randrange(min(len(changed), 256))
                if draw.random() < 0.6
                else draw.randrange(len(changed))
            )
            changed[place] = draw.choice((0, 0xFF, 0x7F, 0x80, draw.randrange(256)))
    return bytes(changed)


def extreme(content: bytes, draw: random.Random) -> bytes:
    """A number of 2, 4 or 8 bytes in a header becomes the largest, the smallest or a small one."""
    changed = bytearray(content)
    size = draw.choice((2, 4, 8))
    if len(changed) > size:
        place = draw.randrange(min(len(changed) - size, 512))
        value = draw.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1))
        changed[place : place + size] = value.to_bytes(size, draw.choice(("little", "big")))
    return bytes(changed)


def splice(content: bytes, draw: random.Random) -> bytes:
    """A stretch is taken out, doubled, or put elsewhere."""
    if len(content) < 4:
        return content * 2
    a, b = sorted((draw.randrange(len(content)), draw.randrange(len(content))))
    piece = content[a:b]
    how = draw.randrange(3)
    if how == 0:
        return content[:a] + content[b:]
    if how == 1:
        return content[:b] + piece + content[b:]
    place = draw.randrange(len(content))
    return content[:place] + piece + content[place:]


def insert(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + draw.choice(TOKENS) + content[place:]


def replace_field(content: bytes, draw: random.Random) -> bytes:
    """A word, number or field of a text becomes another."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    fields = lines[at].replace(b" ", b"\t").split(b"\t")
    fields[draw.randrange(len(fields))] = draw.choice(TOKENS)
    lines[at] = (b"\t" if draw.random() < 0.7 else b" ").join(fields)
    return b"\n".join(lines)


def lines_again(content: bytes, draw: random.Random) -> bytes:
    """A line is there twice, is gone, or they are in another order."""
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    how = draw.randrange(3)
    if how == 0:
        lines.insert(draw.randrange(len(lines) + 1), lines[at])
    elif how == 1:
        del lines[at]
    else:
        draw.shuffle(lines)
    return b"\n".join(lines)


def noise(content: bytes, draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice((0, 1, 7, 64, 1000)))


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed_at(value: Any, path: tuple, draw: random.Random) -> Any:
    if not path:
        return draw.choice(VALUES)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and draw.random() < 0.25:
        del copy[path[0]]
    elif len(path) == 1 and isinstance(copy, dict) and draw.random() < 0.2:
        copy[draw.choice(("", "x", "\x00", "a\nb", "$a"))] = copy.pop(path[0])
    else:
        copy[path[0]] = changed_at(copy[path[0]], path[1:], draw)
    return copy


def other_value(content: bytes, draw: random.Random) -> bytes:
    """A value of a JSON text becomes one of another type, or its key is gone or another."""
    value = json.loads(content)
    for _ in range(draw.choice((1, 1, 1, 3))):
        value = changed_at(value, draw.choice(list(places(value))[:2000]), draw)
        if not isinstance(value, dict | list):
            break
    return json.dumps(value).encode()


def other_yaml(content: bytes, draw: random.Random) -> bytes:
    import yaml

    value = yaml.safe_load(content)
    value = changed_at(value, draw.choice(list(places(value))), draw)
    text = yaml.safe_dump(value, default_flow_style=draw.random() < 0.3)
    return text.encode("utf-8", "surrogatepass")


def bomb(content: bytes, draw: random.Random) -> bytes:
    """References that multiply, nesting without end, or very long lines."""
    how = draw.randrange(4)
    if how == 0:
        lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [b"a%d: &a%d [%s]" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)]
        return content + b"\n" + b"\n".join(lines) + b"\n"
    if how == 1:
        return draw.choice((b"[", b'{"a":', b"- ")) * draw.choice((500, 5000, 100_000))
    if how == 2:
        return content + b"x" * 1_000_000
    return content * 50


TEXT = (cut, overwrite, splice, insert, insert, replace_field, replace_field, lines_again, noise)
JSON_TEXT = (cut, overwrite, splice, insert, bomb, *(other_value,) * 5)
YAML_TEXT = (cut, overwrite, splice, insert, lines_again, replace_field, bomb, *(other_yaml,) * 4)
BINARY = (cut, overwrite, overwrite, extreme, extreme, splice, noise)


def kinds(folder: Path, with_fairseq: bool) -> dict[str, Kind]:
    """Every kind of file that the project reads."""
    found = {
        **tables(folder),
        **settings(folder),
        **arrays(folder),
        **recordings(),
        **checkpoints(with_fairseq),
    }
    return dict(sorted(found.items()))


def tables(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.class_file import read_classes
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.data.check import look_alike
    from ptsel_fairseq.downstream.alignment.textgrid import read_textgrid
    from ptsel_fairseq.downstream.corpora.catalogue.audioset import instruments
    from ptsel_fairseq.downstream.corpora.catalogue.timit import read_phones, text_of
    from ptsel_fairseq.downstream.corpora.corpus import read_csv
    from ptsel_fairseq.downstream.metrics import answer_files
    from ptsel_fairseq.downstream.speech.transcripts import read_transcripts
    from ptsel_fairseq.runs import read_run

    manifest = read_manifest(ASTERISK / "valid.tsv")
    rows = manifest.utterances[:20]
    tsv = "\n".join([str(manifest.root), *(f"{u.path}\t{u.samples}" for u in rows)]).encode() + b"\n"
    utterances = b"path\tclass\n" + b"".join(f"{u.path}\tspeaker {u.index % 3}\n".encode() for u in rows)
    segments = b"path\tstart\tend\tclass\n" + b"".join(f"{u.path}\t0.1\t0.2\tAH\n".encode() for u in rows)
    grid = (
        b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1.5\n<exists>\n2\n"IntervalTier"\n"words"\n0\n1.5\n'
        b'2\n0\n0.5\n"one"\n0.5\n1.5\n"two ""three"""\n"TextTier"\n"clicks"\n0\n1.5\n1\n0.7\n"x"\n'
    )
    log = (
        b"[2026-11-28 10:00:00,1][fairseq.trainer][INFO] - begin training epoch 1\n"
        b'[2026-11-28 10:00:01,1][train_inner][INFO] - {"epoch": 1, "update": 0.5, "loss": "6.5", "num_updates": "10"}\n'
        b'[2026-11-28 10:00:02,1][valid][INFO] - {"epoch": 1, "valid_loss": "6.1", "valid_num_updates": "20"}\n'
    )
    ontology = json.dumps(
        [
            {"id": "/m/04szw", "name": "Musical instrument", "child_ids": ["/m/a"]},
            {"id": "/m/a", "name": "Reed", "child_ids": []},
        ]
    ).encode()

    def classes(file: Path) -> object:
        found = read_classes(file, manifest, 16_000)
        return look_alike(found.names())

    def texts(file: Path) -> object:
        shutil.copy(ASTERISK / "valid.tsv", file.parent / "valid.tsv")
        return read_transcripts(read_manifest(file.parent / "valid.tsv"))

    wrd = (
        (ASTERISK / "valid.wrd").read_bytes()
        if (ASTERISK / "valid.wrd").exists()
        else b"A B\n" * len(manifest)
    )
    return {
        "manifest": Kind([tsv], "train.tsv", read_manifest, TEXT),
        "classes of utterances": Kind([utterances], "c.tsv", classes, TEXT),
        "classes of segments": Kind([segments], "c.tsv", classes, TEXT),
        "texts": Kind([wrd], "valid.wrd", texts, TEXT),
        "TextGrid": Kind([grid, grid.decode().encode("utf-16")], "a.TextGrid", read_textgrid, TEXT),
        "answers: texts": Kind([b"a\tONE TWO\nb\tTHREE\n"], "h.tsv", answer_files.read_texts, TEXT),
        "answers: trials": Kind([b"1 a b\n0 a c\n"], "t.txt", answer_files.read_trials, TEXT),
        "answers: scores": Kind([b"0.5 a b\n-1.5 a c\n"], "s.txt", answer_files.read_trial_scores, TEXT),
        "answers: labels": Kind([b"item\tlabel\tscore\na\tx\t0.5\n"], "l.tsv", answer_files.read_labels, TEXT),
        "corpus table": Kind([b"path,speaker\na.wav,s1\n\"b,c.wav\",s2\n"], "t.csv", lambda f: list(read_csv(f, ("path", "speaker"))), TEXT),
        "TIMIT boundaries": Kind([b"0 4000 h#\n4000 9000 sh\n"], "a.PHN", read_phones, TEXT),
        "TIMIT sentence": Kind([b"0 46797 She had your dark suit.\n"], "a.TXT", text_of, TEXT),
        "AudioSet ontology": Kind([ontology], "ontology.json", instruments, JSON_TEXT),
        "training log": Kind([log], "train.log", lambda file: read_run(file.parent), TEXT),
    }  # fmt: skip


def settings(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.weights_file import read_weights, write_into_recipe, write_weights
    from ptsel_fairseq.pipeline.settings import EXAMPLE, read_settings
    from ptsel_fairseq.selection.label_score import LabelScore, read_scores, write_scores

    write_weights(folder / "w.yaml", {"f0": 0.4, "zcr": 0.6}, {"method": "direct"})
    record = LabelScore(
        0.1, (0.0, 0.2), 0.05, 0.5, 0.1, (-0.1, 0.1), 20, 0, 2, 0, 0, 2.0, None, None, {"a": 0.1}, {"a": 20}
    )
    made = {"estimator": "cka", "labels": {}, "classes": "c.tsv", "points": 20, "class_sizes": {"a": 20}}
    write_scores(folder / "scores.json", {"f0": record, "zcr": record}, made)
    recipe = (RECIPES / "tiny.yaml").read_bytes()
    return {
        "weights": Kind([(folder / "w.yaml").read_bytes()], "w.yaml", read_weights, YAML_TEXT),
        "recipe, λ written into it": Kind([recipe], "r.yaml", lambda f: write_into_recipe(f, {"f0": 1.0}, {}), YAML_TEXT),
        "pipeline": Kind([EXAMPLE.encode()], "p.yaml", read_settings, YAML_TEXT),
        "scores": Kind([(folder / "scores.json").read_bytes()], "scores.json", read_scores, JSON_TEXT),
    }  # fmt: skip


def arrays(folder: Path) -> dict[str, Kind]:
    from ptsel_fairseq.base.kept import ARRAYS, JSON, _read
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.base.partial_array import PartialArray
    from ptsel_fairseq.labels.extraction.extract import extract
    from ptsel_fairseq.labels.store.reader import LabelStore
    from ptsel_fairseq.selection.points import Points

    points = Points(np.ones((4, 3), np.float32), {"f0": np.ones((4, 1))}, np.array(["a", "b", "a", "b"]))
    points.save(folder / "points.npz")
    partial = PartialArray(folder, "f0", (10, 2), np.dtype(np.float32))
    partial.make()
    store = folder / "store"
    lines = (ASTERISK / "valid.tsv").read_text().splitlines()
    root = read_manifest(ASTERISK / "valid.tsv").root
    (folder / "valid.tsv").write_text("\n".join([str(root), *lines[1:4]]) + "\n")
    manifest = read_manifest(folder / "valid.tsv")
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        extract(manifest, ["f0", "zcr"], store, jobs=1)

    def in_store(file: Path) -> object:
        for other in (store / "valid").iterdir():
            if other.name != file.name:
                shutil.copy(other, file.parent / other.name)
        folder = file.parent.rename(file.parent.with_name("valid"))
        try:
            opened = LabelStore(folder.parent, "valid")
            opened.check_manifest(manifest)
            return [
                (opened.track(label, i).sum(), opened.valid(label, i).sum(), opened.statistics(label))
                for label in opened.labels
                for i in range(opened.num_utterances)
            ]
        finally:
            folder.rename(file.parent)

    def continued(file: Path) -> object:
        array = PartialArray(file.parent, "f0", (10, 2), np.dtype(np.float32))
        whole = array.is_whole()
        array.make()
        array.read(0, 10)
        array.close()
        return whole

    block, vectors = b'["a", {"word": [[0.1, 0.2, "x", 0.5]]}]', io.BytesIO()
    np.save(vectors, np.ones((2, 3, 4), np.float32))
    found = {
        "points": Kind([(folder / "points.npz").read_bytes()], "points.npz", Points.load, BINARY),
        "array being filled": Kind([partial.partial.read_bytes()], "f0.npy.partial", continued, BINARY),
        "kept values": Kind([block], "000000.json", lambda file: _read(JSON, file, 2), JSON_TEXT),
        "kept vectors": Kind([vectors.getvalue()], "000000.npy", lambda file: _read(ARRAYS, file, 2), BINARY),
    }
    for file in sorted((store / "valid").iterdir()):
        mutations = JSON_TEXT if file.suffix == ".json" else BINARY if file.suffix == ".npy" else TEXT
        found[f"store: {file.name}"] = Kind([file.read_bytes()], file.name, in_store, mutations, 0.6)
    return found


def recordings() -> dict[str, Kind]:
    from ptsel_fairseq.base.audio import AudioFile
    from ptsel_fairseq.base.audio_length import audio_length
    from ptsel_fairseq.data.decoding import UndecodableError, open_sound
    from ptsel_fairseq.data.inspection import inspect_file

    draw = np.random.default_rng(0)
    t = np.arange(12_000) / 16_000
    voice = (0.4 * np.sin(2 * np.pi * 150 * t) + 0.01 * draw.standard_normal(len(t))).astype(np.float32)

    def coded(channels: int = 1, **how: Any) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, np.stack([voice] * channels, 1), 16_000, **how)
        return out.getvalue()

    def read(file: Path) -> object:
        length = audio_length(file)
        inspect_file(file, length.samples or 1, False)
        with contextlib.suppress(UndecodableError), open_sound(file) as sound:
            for _ in sound.blocks:
                pass
        with AudioFile(file, 16_000) as audio:
            return len(audio.read(length.samples or 1))

    return {
        "recording: WAV": Kind(
            [coded(format="WAV"), coded(2, format="WAV", subtype="FLOAT")], "a.wav", read, BINARY, 2
        ),
        "recording: FLAC": Kind([coded(format="FLAC"), coded(2, format="FLAC")], "a.flac", read, BINARY, 2),
        "recording: Ogg": Kind(
            [coded(format="OGG"), coded(format="OGG", subtype="OPUS")], "a.ogg", read, BINARY, 2
        ),
        "recording: MP3": Kind([coded(format="MP3")], "a.mp3", read, BINARY, 2),
        "recording: AIFF": Kind([coded(format="AIFF")], "a.aiff", read, BINARY),
    }


def checkpoints(with_fairseq: bool) -> dict[str, Kind]:
    """Checkpoints as they are loaded; with fairseq also built into a model, and recipes."""
    import torch

    from ptsel_fairseq.base.checkpoint import load_checkpoint
    from ptsel_fairseq.base.stock import to_stock

    small = {
        **{
            "_name": "ptsel_wav2vec2",
            "extractor_mode": "layer_norm",
            "encoder_layers": 1,
            "encoder_embed_dim": 16,
        },
        **{"encoder_ffn_embed_dim": 16, "encoder_attention_heads": 2, "conv_pos": 4, "conv_pos_groups": 2},
        "conv_feature_layers": "[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8, 2, 2)] * 2",
    }
    cfg = {
        "model": small,
        "task": {"normalize": False},
        "criterion": {"pretext_weights": {"f0": 1.0}},
        "common": {},
    }
    weights = {"mask_emb": torch.ones(16)}
    if with_fairseq:
        from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model

        given = {key: value for key, value in small.items() if key != "_name"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = Wav2Vec2Model.build_model(Wav2Vec2Config(**given)).state_dict()

    def saved(**how: Any) -> bytes:
        out = io.BytesIO()
        torch.save({"cfg": cfg, "model": weights}, out, **how)
        return out.getvalue()

    def read(file: Path) -> object:
        return to_stock(load_checkpoint(file), file)

    def other_configuration(content: bytes, draw: random.Random) -> bytes:
        state = {"cfg": cfg, "model": dict(weights)}
        if draw.random() < 0.7:
            state["cfg"] = changed_at(cfg, draw.choice(list(places(cfg))), draw)
        else:
            name = draw.choice(sorted(weights))
            state["model"][name] = draw.choice(
                (torch.ones(1), torch.ones(0), torch.zeros(1).expand(10**9), "x", None)
            )
        out = io.BytesIO()
        torch.save(state, out)
        return out.getvalue()

    found = {
        "checkpoint": Kind([saved(), saved(_use_new_zipfile_serialization=False)], "c.pt", read, (*BINARY, *(other_configuration,) * 3), 1.5)
    }  # fmt: skip
    if with_fairseq:
        from ptsel_fairseq.downstream.features.wav2vec import load_encoder
        from ptsel_fairseq.plugin.estimate.cost import read_recipe

        def build(file: Path) -> object:
            load_encoder.cache_clear()
            return load_encoder(file)

        found["checkpoint, its model"] = Kind([saved()], "c.pt", build, (other_configuration,), 0.3)
        found["recipe of an estimate"] = Kind(
            [(RECIPES / "tiny.yaml").read_bytes()], "r.yaml", read_recipe, YAML_TEXT, 0.5
        )
    return found


@dataclass
class Counts:
    """Cases of one kind: read, refused, and faults by what they were."""

    read: int = 0
    refused: int = 0
    faults: Counter[str] | None = None


class TooLongError(BaseException):
    pass


def _alarm(number: int, frame: object) -> None:
    raise TooLongError


def one_case(kind: Kind, draw: random.Random, folder: Path) -> str:
    """What became of one case: ``read``, ``refused``, or a fault in words."""
    content = draw.choice(kind.mutations)(draw.choice(kind.whole), draw)
    if draw.random() < 0.3:
        content = draw.choice((cut, overwrite, insert))(content, draw)
    folder.mkdir()
    file = folder / kind.name
    file.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(LONGEST)
    try:
        with quiet():
            kind.read(file)
        outcome = "read"
    except PtselError as error:
        said = str(error)
        outcome = "refused" if str(folder.parent) in said else f"message: {said[:200]}"
    except TooLongError:
        outcome = f"longer than {LONGEST} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "ptsel_fairseq" in f.filename]
        at = ours[-1] if ours else place
        outcome = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {str(error)[:120]}"
    finally:
        signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return f"{grown >> 20} MiB" if grown > MOST_MEMORY else outcome


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What decoders print of damaged files, in C too, is not shown."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def fuzz(
    cases: int, seed: int, only: Sequence[str] | None, with_fairseq: bool, keep: Path | None
) -> dict[str, Counts]:
    """Run so many cases, spread over the kinds by their weights; the outcomes by kind."""
    signal.signal(signal.SIGALRM, _alarm)
    counts: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        every = kinds(folder, with_fairseq)
        chosen = {name: kind for name, kind in every.items() if only is None or any(o in name for o in only)}
        total = sum(kind.weight for kind in chosen.values())
        for name, kind in chosen.items():
            draw = random.Random(f"{seed} {name}")
            found = counts[name] = Counts(faults=Counter())
            for number in range(max(1, round(cases * kind.weight / total))):
                case = folder / "case"
                outcome = one_case(kind, draw, case)
                if outcome in ("read", "refused"):
                    setattr(found, outcome, getattr(found, outcome) + 1)
                else:
                    found.faults[outcome] += 1
                    if keep is not None:
                        shutil.copytree(case, keep / f"{name.replace('/', '_')}-{number}", dirs_exist_ok=True)
                shutil.rmtree(case)
    return counts


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="only those whose names hold one of these")
    parser.add_argument("--without-fairseq", action="store_true", help="leave out what needs it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the files of faults")
    options = parse(parser, arguments, {"cases": 60, "without_fairseq": True})
    counts = fuzz(options.cases, options.seed, options.kinds, not options.without_fairseq, options.keep)
    print(f"{'kind':30s} {'read':>6s} {'refused':>8s} {'faults':>7s}")
    for name, found in counts.items():
        print(f"{name:30s} {found.read:6d} {found.refused:8d} {found.faults.total():7d}")
        for fault, count in found.faults.most_common():
            print(f"    {count} x {fault}")
    total = sum(found.read + found.refused + found.faults.total() for found in counts.values())
    print(f"{total} cases")
    faults = sum(found.faults.total() for found in counts.values())
    return finish(options, [Figure("faults of damaged files", faults, 0, at_most=True)])


if __name__ == "__main__":
    sys.exit(not all(figure.met for figure in main()))
