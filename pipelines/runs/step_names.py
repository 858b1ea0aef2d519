"""Name our own steps in stored runs without saying where the code lies, so that it can move."""

from __future__ import annotations

TRAIN = "isthmus.train"  # dataset, fit, evaluate, curve, register
REPLAY = "isthmus.replay"  # replay
SCORE = "isthmus.score"  # rows, score, publish
TUNE = "isthmus.tune"  # trial, last
STREAM = "isthmus.stream"  # work

_MODULES = {
    TRAIN: "isthmus.pipelines.training.steps",
    REPLAY: "isthmus.experiments.replay.step",
    SCORE: "isthmus.pipelines.scoring.steps",
    TUNE: "isthmus.pipelines.tuning.steps",
    STREAM: "isthmus.lifecycle.streams.step",
}
# What runs of 0.1.0 name, which had the modules of that time.
_FORMER = {"isthmus.pipelines.training_steps": TRAIN, "isthmus.experiments.replay_step": REPLAY}


def module_of(function: str) -> str:
    """Return the name of the Python module that holds a step's function.

    The function is `isthmus.train:fit`, or `module:function` of a project.
    """
    module = function.partition(":")[0]
    return _MODULES.get(_FORMER.get(module, module), module)


def stable_name(function: str) -> str:
    """Return the name under which a step's function is stored, which outlives moves of our modules.

    A function of the user's project keeps its name.
    """
    module, colon, name = function.partition(":")
    return f"{_FORMER.get(module, module)}{colon}{name}"
