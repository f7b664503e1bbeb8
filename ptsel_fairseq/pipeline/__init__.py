"""Steps that are done once: run commands in order or several at a time, and go on after an interruption.

    from ptsel_fairseq.pipeline import Runner, Step

    labels = Step("labels", (("ptsel", "extract", "data", "--labels", "f0", "--store", "store"),),
                  reads=(Path("data/train.tsv"),), makes=(Path("store/train/header.json"),))
    with Runner("out") as runner:
        runner.run(labels)

`ptsel run` and the examples use it. Importing this package imports neither torch nor numpy.
"""

from typing import TYPE_CHECKING

from ptsel_fairseq.base.late import late_attributes

if TYPE_CHECKING:
    from ptsel_fairseq.pipeline.commands import training_command as training_command
    from ptsel_fairseq.pipeline.runner import Outcome as Outcome
    from ptsel_fairseq.pipeline.runner import Runner as Runner
    from ptsel_fairseq.pipeline.step import Step as Step

_PLACES = {"Outcome": "runner", "Runner": "runner", "training_command": "commands", "Step": "step"}
__all__ = ["Outcome", "Runner", "Step", "training_command"]
__getattr__, __dir__ = late_attributes(__name__, _PLACES)
