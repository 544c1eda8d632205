"""Random number generators as part of a checkpoint."""

import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn


class RNGState(Callback):
    """Gives every process random numbers of its own, saves its generators and puts them back after a resume.

    They are put back before the first batch, not when the checkpoint is read: building loaders and
    optimizers draws from the generators in between. A checkpoint made during validation has the states
    from before it, because a resumed run does all of it. Only numbers, lists and tensors are saved, so
    that the checkpoint loads without pickled code.
    """

    def __init__(self) -> None:
        self._pending: list[dict[str, Any]] | None = None
        self._before_validation: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """States of all processes, in order of rank."""
        own = self._before_validation or _capture()
        if not (dist.is_available() and dist.is_initialized()):
            return {"ranks": [own]}
        ranks: list[dict[str, Any] | None] = [None] * dist.get_world_size()
        dist.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training begins."""
        self._pending = state_dict["ranks"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the processes, which were seeded alike so that they build the same model, part ways."""
        if trainer.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Put the generators back, once."""
        self._put_back(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the generators back, if a resumed run begins here, and note their states."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._put_back(trainer)
            self._before_validation = _capture()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from where the validation left the generators."""
        self._before_validation = None

    def _put_back(self, trainer: Trainer) -> None:
        if self._pending is None:
            return
        if len(self._pending) == trainer.world_size:
            _restore(self._pending[trainer.global_rank])
        else:
            rank_zero_warn(
                f"the checkpoint was made by {len(self._pending)} processes and is continued by {trainer.world_size}: "
                "random numbers go on from the seed, not from the checkpoint"
            )
        self._pending = None


def _capture() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
