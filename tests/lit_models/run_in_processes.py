"""A short run in any number of processes; also a script, because each process of Lightning's starts it anew."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch.optim import SGD

from datamodules import Digits
from lit_models import Autoencoder, SparseAutoencoder
from networks import MLPDecoder, MLPEncoder

TECHNIQUES = (Autoencoder, SparseAutoencoder)


def run(processes: int, folder: Path) -> dict[str, Any]:
    """Trains each technique on four batches of 64 images over all processes, then tests it."""
    results = {}
    for technique in TECHNIQUES:
        torch.manual_seed(0)
        model = technique(
            (1, 8, 8),
            latent_dim=8,
            encoder=partial(MLPEncoder, hidden=(16,)),
            decoder=partial(MLPDecoder, hidden=(16,)),
            optimizer=partial(SGD, lr=1e-3),
        )
        quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        trainer = Trainer(
            accelerator="cpu",
            devices=processes,
            strategy="ddp" if processes > 1 else "auto",
            max_steps=4,
            default_root_dir=folder,
            use_distributed_sampler=False,
            **dict.fromkeys(quiet, False),  # type: ignore[arg-type]
        )
        data = Digits(batch_size=64 // processes)
        trainer.fit(model, data)
        (scores,) = trainer.test(model, data, verbose=False)
        results[technique.__name__] = {"state": model.state_dict(), "scores": scores}
        if trainer.is_global_zero:
            torch.save(results, folder / "results.pt")
    return results


if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]))
