"""What watches or steers a run."""

from callbacks.attention_pictures import AttentionPictures
from callbacks.averaging import CheckpointAveraging
from callbacks.checkpoint import Checkpoint, newest_whole
from callbacks.checkpoint_file import misfit, read_checkpoint
from callbacks.classifier_pictures import ClassifierPictures
from callbacks.collapse import CollapseWarning
from callbacks.divergence import DivergedError, DivergenceGuard
from callbacks.domain_pictures import DomainPictures
from callbacks.early_stopping import EarlyStopping
from callbacks.epoch_lines import EpochLines
from callbacks.every_run import callbacks_of_every_run
from callbacks.exporting import Exporter
from callbacks.first_batch import FirstBatch
from callbacks.greedy_pretraining import GreedyPretraining
from callbacks.hardware import hardware_problems
from callbacks.image_attention import ImageAttentionPictures
from callbacks.layer_gradients import LayerGradients
from callbacks.layer_sync import SyncBatchNorm
from callbacks.learning_curves import LearningCurves
from callbacks.links import missing_links
from callbacks.metrics_file import MetricsFile
from callbacks.monitors import Monitors
from callbacks.no_profiler import NoProfiler
from callbacks.noise import leave_out_noise, without_hints
from callbacks.origins import print_origins
from callbacks.own_config import own_checkpoint, plain_config, print_changes, refuse_other_settings, with_own_config
from callbacks.pictures import Pictures
from callbacks.predictions import PredictionWriter
from callbacks.preflight import Preflight
from callbacks.results import print_written, write_results
from callbacks.resumption import Resumption
from callbacks.rng_state import RNGState
from callbacks.run_folder import RUN_ID_VARIABLE, RunFolder, RunSettings, default_experiment
from callbacks.run_record import RunRecord
from callbacks.sampling import Sampler
from callbacks.settings import SettingsError, differences, nearest
from callbacks.sources import check_command, read_settings
from callbacks.target_predictions import TargetPredictions
from callbacks.termination import TerminatedError, Termination
from callbacks.text_sampling import BlankFiller, TextSampler, Translator
from callbacks.throughput import Throughput
from callbacks.tokenizer_file import TokenizerFile, hand_over_tokenizer
from callbacks.trainer import CARRIED_OUT_BY, CommandTrainer, carried_out_by
from callbacks.unfreezing import Unfreezing
from callbacks.user_errors import USER_ERRORS, problems_in, problems_of
from callbacks.validation import SettingsCheck
from callbacks.weights_and_biases import WandbSettings, loggers_of, wandb_logger

__all__ = [
    "CARRIED_OUT_BY",
    "RUN_ID_VARIABLE",
    "USER_ERRORS",
    "AttentionPictures",
    "BlankFiller",
    "Checkpoint",
    "CheckpointAveraging",
    "ClassifierPictures",
    "CollapseWarning",
    "CommandTrainer",
    "DivergedError",
    "DivergenceGuard",
    "DomainPictures",
    "EarlyStopping",
    "EpochLines",
    "Exporter",
    "FirstBatch",
    "GreedyPretraining",
    "ImageAttentionPictures",
    "LayerGradients",
    "LearningCurves",
    "MetricsFile",
    "Monitors",
    "NoProfiler",
    "Pictures",
    "PredictionWriter",
    "Preflight",
    "RNGState",
    "Resumption",
    "RunFolder",
    "RunRecord",
    "RunSettings",
    "Sampler",
    "SettingsCheck",
    "SettingsError",
    "SyncBatchNorm",
    "TargetPredictions",
    "TerminatedError",
    "Termination",
    "TextSampler",
    "Throughput",
    "TokenizerFile",
    "Translator",
    "Unfreezing",
    "WandbSettings",
    "callbacks_of_every_run",
    "carried_out_by",
    "check_command",
    "default_experiment",
    "differences",
    "hand_over_tokenizer",
    "hardware_problems",
    "leave_out_noise",
    "loggers_of",
    "misfit",
    "missing_links",
    "nearest",
    "newest_whole",
    "own_checkpoint",
    "plain_config",
    "print_changes",
    "print_origins",
    "print_written",
    "problems_in",
    "problems_of",
    "read_checkpoint",
    "read_settings",
    "refuse_other_settings",
    "wandb_logger",
    "with_own_config",
    "without_hints",
    "write_results",
]
