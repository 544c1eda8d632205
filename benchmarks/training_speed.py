"""Tokens a second of training a language model, by the length of its sequences at a fixed number of tokens a batch."""

import json
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning import seed_everything
from torch import nn
from torch.optim import Optimizer

import networks
from benchmarks.contests import NETWORKS, Contest
from networks import PAD
from objectives import token_losses

BATCH_TOKENS = 4096
LENGTHS = (32, 128, 512, 1024)
REPETITIONS = 5
VOCABULARY = 100  # about as many characters as English text has
SPEEDS = "speeds.json"


def training_speed(model: Mapping[str, Any], vocab_size: int, length: int, repetitions: int = REPETITIONS) -> float:
    """Train on drawn tokens, on one thread: forward, backward and step.

    Args:
        model: settings of a `LanguageModel`, its `network` and `optimizer`.
        vocab_size: number of tokens.
        length: tokens of a sequence.
        repetitions: timed steps, after one that is not.

    Returns:
        Tokens in a second of the CPU, median of the steps.
    """
    torch.set_num_threads(1)
    made = model["init_args"]["network"]
    network: nn.Module = getattr(networks, made["class_path"])(vocab_size, length, **made["init_args"])
    optimizer = _made(model["init_args"]["optimizer"], network)
    draw = torch.randint(PAD + 1, vocab_size, (BATCH_TOKENS // length, length + 1))
    seconds = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        optimizer.zero_grad()
        logits = network(draw[:, :-1])
        torch.autograd.backward(token_losses(logits, draw[:, 1:], PAD).nll.mean())
        optimizer.step()
        seconds.append(time.process_time() - start)
    return draw[:, 1:].numel() / median(seconds[1:])


def _made(settings: Mapping[str, Any], network: nn.Module) -> Optimizer:
    """The optimizer of settings."""
    module, _, name = settings["class_path"].rpartition(".")
    kind = getattr(import_module(module), name)
    optimizer: Optimizer = kind(network.parameters(), **settings["init_args"])
    return optimizer


def write_speeds(contest: Contest, path: Path) -> None:
    """Measure both networks of a contest of language models, and write network to length to tokens a second as JSON."""
    seed_everything(0, verbose=False)
    speeds = {
        network: {
            str(length): round(training_speed(contest.settings(network)["model"], VOCABULARY, length), 1)
            for length in LENGTHS
        }
        for network in NETWORKS
    }
    path.write_text(json.dumps(speeds) + "\n")
