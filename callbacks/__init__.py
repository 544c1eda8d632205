"""What watches or steers a run."""

from callbacks.checkpoint import Checkpoint, newest_whole
from callbacks.early_stopping import EarlyStopping
from callbacks.epoch_lines import EpochLines
from callbacks.latents import LatentWriter
from callbacks.learning_curves import LearningCurves
from callbacks.metrics_file import MetricsFile
from callbacks.no_profiler import NoProfiler
from callbacks.pictures import Pictures
from callbacks.rng_state import RNGState
from callbacks.run_folder import RUN_ID_VARIABLE, RunFolder, RunSettings
from callbacks.run_record import RunRecord, shared_settings, write_text
from callbacks.settings import differences
from callbacks.throughput import Throughput
from callbacks.weights_and_biases import WandbSettings, wandb_logger

__all__ = [
    "RUN_ID_VARIABLE",
    "Checkpoint",
    "EarlyStopping",
    "EpochLines",
    "LatentWriter",
    "LearningCurves",
    "MetricsFile",
    "NoProfiler",
    "Pictures",
    "RNGState",
    "RunFolder",
    "RunRecord",
    "RunSettings",
    "Throughput",
    "WandbSettings",
    "differences",
    "newest_whole",
    "shared_settings",
    "wandb_logger",
    "write_text",
]
