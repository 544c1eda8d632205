"""The training of configs/language_model/python_docs.yaml written by hand: a yardstick of benchmarks.throughput.

    python -m benchmarks.text_hand_loop --epochs 3

Network, batches, loss, optimizer with its groups, clipping and schedule are those of the configuration. There is no
validation, no log and no checkpoint.
"""

import argparse
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch.optim import AdamW

from benchmarks.hand_loop import schedule
from datamodules import PythonDocs
from networks import PAD, TransformerLM

CONTEXT, BATCH_SIZE = 64, 16
RATE = 4e-3


def main(words: list[str] | None = None) -> None:
    """Train, and print the samples and seconds of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batches", type=int, help="of an epoch; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    torch.manual_seed(arguments.seed)

    data = PythonDocs(context=CONTEXT, batch_size=BATCH_SIZE, seed=arguments.seed)
    loader = data.train_dataloader()
    network = TransformerLM(data.vocab_size, CONTEXT, dim=128, heads=4, layers=4, positions="rotary")
    matrices = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in network.parameters() if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=RATE, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    batches = len(loader) if arguments.batches is None else arguments.batches
    step, steps = 0, arguments.epochs * batches
    for epoch in range(arguments.epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # that of the DataModule can
        start, samples = time.perf_counter(), 0
        for batch, _ in zip(loader, range(batches), strict=False):
            step += 1
            samples += len(batch.token)
            for group in optimizer.param_groups:
                group["lr"] = RATE * schedule(step / steps)
            logits = network(batch.token)
            loss = F.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), ignore_index=PAD)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        print(f"timed {samples} {time.perf_counter() - start}", flush=True)


if __name__ == "__main__":
    main()
