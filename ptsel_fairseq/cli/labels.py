"""The commands that list and extract labels: argument parsing only."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.cli.arguments import (
    KM_HELP,
    MANIFEST_HELP,
    STORE_HELP,
    add_command,
    add_engine,
    add_jobs,
    add_json,
    add_seed,
    add_splits,
    add_store,
    add_user_labels,
    command_line,
    picture_file,
)


def add_labels(commands) -> None:
    parser = add_command(commands, "labels", "list the pretext labels that can be extracted, or draw some")
    parser.add_argument("names", metavar="LABEL", nargs="*", help="only these (default: all)")
    parser.add_argument(
        "--plot", type=Path, metavar="AUDIO", help="draw the labels below the spectrogram of a 16 kHz file"
    )
    parser.add_argument("--out", type=picture_file, metavar="FILE.png", help="where --plot puts the picture")
    parser.add_argument(
        "--from",
        dest="start",
        type=float,
        metavar="SECONDS",
        help="draw from here (default: the beginning); little more than the stretch is analysed",
    )
    parser.add_argument(
        "--to", dest="end", type=float, metavar="SECONDS", help="up to here (default: the end)"
    )
    add_user_labels(parser)
    add_json(parser, "the labels")

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.listing import labels_command

        labels_command(**options)

    parser.set_defaults(command=run, prints=True)


def add_extract(commands) -> None:
    parser = add_command(
        commands,
        "extract",
        "compute pretext labels on the encoder's frame grid; goes on where it was interrupted",
        MANIFEST_HELP + STORE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_splits(parser)
    parser.add_argument(
        "--labels", nargs="+", required=True, metavar="LABEL", help="labels and pools, as in `ptsel labels`"
    )
    add_store(parser, "folder of the label store; made if absent")
    add_user_labels(parser)
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the values on disk: float16 takes half the room, rounded to one part in 2048 (default float32)",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out files that cannot be read or are not as the manifest says, instead of stopping at the first",
    )
    parser.add_argument(
        "--manifest-out",
        type=Path,
        metavar="DIR",
        help="with --skip-bad: new data folder, the manifests (and .ltr, .wrd, .phn) without skipped files",
    )
    add_jobs(parser)
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="DEVICE",
        help="cpu (default), or a GPU: cuda, cuda:N. It computes the labels of short-time spectra, equal but for "
        "rounding, while processes compute the others",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="compute the labels with another program, for comparison: opensmile, praat or world, if installed; its "
        "licence is printed and stored (default: this package)",
    )
    parser.add_argument(
        "--pack",
        action="store_true",
        help="then copy these labels side by side, so that training reads each utterance's at once; takes the room of "
        "the labels again",
    )
    add_engine(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.extraction.extract import extract_command

        extract_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_codes(commands) -> None:
    parser = add_command(
        commands,
        "codes",
        "add a label of codes to a store: clusters or random codes of a label it has, or codes of files",
        MANIFEST_HELP + STORE_HELP + KM_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    parser.add_argument(
        "name", metavar="NAME", help="of the new label; `hubert` alone means --kmeans mfcc --codes 100"
    )
    add_store(parser)
    add_splits(parser)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--kmeans", metavar="LABEL", help="cluster the frames of this label, as HuBERT does")
    kind.add_argument(
        "--random", metavar="LABEL", help="random projection and codebook of this label, as BEST-RQ"
    )
    kind.add_argument(
        "--file", type=Path, metavar="FOLDER", help="read FOLDER/<split>.km, fairseq's k-means labels"
    )
    parser.add_argument(
        "--codes",
        type=int,
        metavar="N",
        help="how many (default: 100 clusters, 8192 random codes, of files the largest code and one)",
    )
    add_seed(parser, "clusters and random codes", default=1)
    parser.add_argument(
        "--fit-split",
        default="train",
        metavar="SPLIT",
        help="that clusters are fitted on, and whose mean and deviation random codes use (default train)",
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=1_000_000,
        metavar="FRAMES",
        help="of it that are clustered, at most (default 1000000)",
    )
    parser.add_argument(
        "--rate",
        type=int,
        default=50,
        metavar="N",
        help="codes a second of the files: 50 (default) or 100, as of MFCC",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="phones of segments: print what the codes say of them (PNMI, purities)",
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.codes.make import make_codes

        classes = options.pop("classes")
        make_codes(**options, command_line=command_line())
        if classes is not None:
            from ptsel_fairseq.downstream.metrics.code_quality import print_quality

            print_quality(options["data_dir"], options["splits"], options["store"], options["name"], classes)

    parser.set_defaults(command=run)


ADDED = (add_labels, add_extract, add_codes)
