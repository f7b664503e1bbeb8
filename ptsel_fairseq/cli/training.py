"""The commands around training: argument parsing only."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.cli.arguments import (
    STORE_HELP,
    WEIGHTS_HELP,
    add_command,
    add_json,
    add_plugins,
    picture_file,
)
from ptsel_fairseq.export import FORMATS

RUN_HELP = """\
RUN_DIR/hydra_train.log  fairseq's log with common.log_format=json
    [2026-01-31 12:00:00,123][train_inner][INFO] - {"update": 0.5, "loss": "6.6", "num_updates": "20", ...}
"""


def add_estimate(commands) -> None:
    parser = add_command(
        commands,
        "estimate",
        "say what a recipe needs before it is trained: parameters, memory, data; needs fairseq, takes seconds",
        STORE_HELP + WEIGHTS_HELP,
    )
    parser.add_argument("recipe", metavar="RECIPE.yaml", type=Path, help="as for fairseq-hydra-train")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="SECTION.KEY=VALUE",
        help="as for fairseq-hydra-train, e.g. distributed_training.distributed_world_size=8",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights.yaml, in place of the recipe's own"
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="STORE",
        help="label store; without it the labels are those of `ptsel labels`",
    )
    add_plugins(parser)
    add_json(parser, "the numbers, in bytes and parameters,")

    def run(options: dict) -> None:
        from ptsel_fairseq.plugin.estimate.cost import estimate_command

        estimate_command(**options)

    parser.set_defaults(command=run)


def add_export(commands) -> None:
    parser = add_command(
        commands, "export", "write a pretraining checkpoint as a stock wav2vec 2.0 checkpoint"
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="of a pretraining")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="STOCK", help="file; with --format hf a folder"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="fairseq",
        help="fairseq: a checkpoint that stock fairseq and s3prl read (default); hf: a folder for Hugging Face's "
        "Wav2Vec2Model",
    )
    add_plugins(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.export import export_command

        export_command(**options)

    parser.set_defaults(command=run)


def add_plot(commands) -> None:
    parser = add_command(commands, "plot", "draw the losses of a training run, or compare several", RUN_HELP)
    parser.add_argument(
        "folders", metavar="RUN_DIR", nargs="+", type=Path, help="hydra.run.dir of a training"
    )
    parser.add_argument(
        "--out", type=picture_file, required=True, metavar="FILE.png", help="the picture; also .pdf or .svg"
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.run_figures import plot_command

        plot_command(**options)

    parser.set_defaults(command=run)


def add_user_dir(commands) -> None:
    parser = add_command(commands, "user-dir", "print the absolute path for common.user_dir")
    parser.set_defaults(command=lambda options: print(Path(__file__).resolve().parents[1]), prints=True)


ADDED = (add_estimate, add_export, add_plot, add_user_dir)
