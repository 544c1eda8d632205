"""The callbacks that every run has, without being asked for."""

from typing import Any

from lightning.pytorch import Callback

from callbacks.attention_pictures import AttentionPictures
from callbacks.checkpoint import Checkpoint
from callbacks.classifier_pictures import ClassifierPictures
from callbacks.collapse import CollapseWarning
from callbacks.divergence import DivergenceGuard
from callbacks.domain_pictures import DomainPictures
from callbacks.first_batch import FirstBatch
from callbacks.image_attention import ImageAttentionPictures
from callbacks.learning_curves import LearningCurves
from callbacks.monitors import Monitors
from callbacks.resumption import Resumption
from callbacks.rng_state import RNGState
from callbacks.run_folder import RunFolder
from callbacks.run_record import RunRecord
from callbacks.target_predictions import TargetPredictions
from callbacks.termination import Termination
from callbacks.throughput import Throughput
from callbacks.tokenizer_file import TokenizerFile


def callbacks_of_every_run(
    run: RunFolder, config: dict[str, Any], command: list[str], checkpoint: Checkpoint
) -> list[Callback]:
    """Make the callbacks that every run has.

    Args:
        run: the run's folder.
        config: the resolved configuration; plain values only.
        command: what was typed.
        checkpoint: that saves the run.
    """
    return [
        RunRecord(run, config, command),
        TokenizerFile(run),
        RNGState(),
        Resumption(),
        DivergenceGuard(),
        CollapseWarning(),
        Termination(checkpoint),
        LearningCurves(),
        FirstBatch(),
        Monitors(),
        Throughput(),
        TargetPredictions(),
        DomainPictures(),
        ClassifierPictures(),
        AttentionPictures(),
        ImageAttentionPictures(),
    ]
