"""What the DataModules of all kinds of data share: loaders, the order of the batches, and exact resumption."""

import atexit
import math
import multiprocessing
import signal
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.sampler import EvaluationSampler, ResumableSampler
from datamodules.seeding import derive_seed

Part = Literal["train", "val", "test"]


class Examples(Protocol):
    """A fixed sequence of examples that gives whole batches."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """Returns the batch of the examples at these positions."""
        ...

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over the examples."""
        ...


ExamplesT = TypeVar("ExamplesT", bound=Examples)


class ResumableDataModule(LightningDataModule, Generic[ExamplesT]):
    """Examples in a training, a validation and a test part, whose order can be taken up anywhere.

    Subclasses declare what a model must know of the data before anything is loaded, and load the parts. The test part
    is loaded only to test, or to predict on it.

    A checkpoint keeps the place in the epoch, so that a run resumed from it sees exactly the batches that were still
    to come. It is read from the Trainer's progress: workers ask the sampler for indices ahead of time, so the sampler
    does not know it.

    Args:
        batch_size: Training examples a step, in each process.
        eval_batch_size: Examples a step otherwise, in each process.
        seed: Seed of the order.
        num_workers: Processes that prepare batches; 0 is fastest for sets in memory.
        drop_last: Leave out the last batch of a training epoch if it is smaller than the others.
        predict_part: The part that `predict` goes through.

    Raises:
        ValueError: If a size is impossible.
    """

    example_name: ClassVar[str] = "example"
    val_size: float

    def __init__(
        self,
        *,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        seed: int = 0,
        num_workers: int = 0,
        drop_last: bool = False,
        predict_part: Part = "val",
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size, eval_batch_size=eval_batch_size)
        at_least(0, num_workers=num_workers)
        if predict_part not in ("train", "val", "test"):
            raise ValueError(f"predict_part={predict_part!r} is not a part: choose 'train', 'val' or 'test'")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.predict_part: Part = predict_part
        self._datasets: dict[Part, ExamplesT] = {}
        self._resume_at: dict[str, int] | None = None

    @abstractmethod
    def load_training(self) -> tuple[ExamplesT, ExamplesT | None]:
        """Loads the training and the validation part; the latter is None if `val_size` is 0."""

    @abstractmethod
    def load_test(self) -> ExamplesT:
        """Loads the test part."""

    def __str__(self) -> str:
        """Its name. Lightning would load all parts to describe them, and jsonargparse asks while it links settings."""
        return type(self).__name__

    def dataset(self, part: Part) -> ExamplesT:
        """Returns a part, loaded on first use.

        Raises:
            ValueError: If there is no such part, or its data cannot be read.
        """
        if part not in self._datasets:
            # evaluation may ask for a part in inference mode, but its tensors outlive that mode
            with torch.inference_mode(False):
                self._load(part)
        if part not in self._datasets:
            raise ValueError(f"val_size={self.val_size} leaves no validation part: choose a larger one")
        return self._datasets[part]

    def _load(self, part: Part) -> None:
        if part == "test":
            self._datasets["test"] = self.load_test()
            return
        self._datasets["train"], validation = self.load_training()
        if validation is not None:
            self._datasets["val"] = validation

    def take_parts(self) -> dict[Part, ExamplesT]:
        """Hands over the parts that are loaded, and forgets them."""
        parts, self._datasets = self._datasets, {}
        return parts

    def setup(self, stage: str) -> None:
        """Loads what the stage ("fit", "validate", "test" or "predict") needs."""
        if stage == "fit":
            self._resume_at = None
        special: dict[str, Part] = {"test": "test", "predict": self.predict_part}
        self.dataset(special.get(stage, "train"))

    def train_dataloader(self) -> DataLoader[Any]:
        """Builds the loader of the shuffled training part; after a checkpoint was loaded it begins where that ended."""
        dataset = self.dataset("train")
        place, self._resume_at = self._resume_at or {"epoch": self._epoch(), "batch": 0}, None
        if place["batch"] > 0:
            self._warn_of_other_batches(place)
        return self._training_loader(dataset, place["epoch"], place["batch"])

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Builds the loader of the validation part; none if `val_size` is 0."""
        self.dataset("train")
        return self._evaluation_loader("val", self.dataset("val")) if "val" in self._datasets else []

    def test_dataloader(self) -> DataLoader[Any]:
        """Builds the loader of the test part."""
        return self._evaluation_loader("test", self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Builds the loader of `predict_part`, in order and without augmentation."""
        return self._evaluation_loader(self.predict_part, self.dataset(self.predict_part))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch; on the CPU it is where it has to be, and the search for what there is to move is spared."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def fingerprint(self) -> str:
        """Returns a SHA-256, in hexadecimal, of the training part."""
        return self.dataset("train").fingerprint()

    def state_dict(self) -> dict[str, int]:
        """Returns the place of the next training batch: epoch, batch, and how much is one over all processes."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epoch: Any = loop.epoch_progress.current
        batch: Any = loop.epoch_loop.batch_progress.current
        # An epoch counts as started from its first hook to the next one's, as processed once validation after its last
        # batch is done; a batch as processed before its last hook, which is where checkpoints are made.
        finished = epoch.processed >= epoch.started or batch.processed >= loop.max_batches
        return {
            "epoch": epoch.started if finished else epoch.started - 1,
            "batch": 0 if finished else batch.processed,
            **self._global_batch(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lets the next training loader begin at a place.

        Args:
            state_dict: What `state_dict` returned.
        """
        self._resume_at = dict(state_dict)
        # Lightning looks for the state on the loader, where prefetching would make it wrong.
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")

    def _process(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _epoch(self) -> int:
        # What Lightning gives to the sampler. `trainer.current_epoch` lags behind it in some resumed runs.
        if self.trainer is None:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        return int(progress.processed)

    def _global_batch(self) -> dict[str, int]:
        return {"global_batch_size": self._process()[1] * self.batch_size}

    def _warn_of_other_batches(self, place: dict[str, int]) -> None:
        size_now = self._global_batch()["global_batch_size"]
        if (size_then := place.get("global_batch_size", size_now)) != size_now:
            rank_zero_warn(
                f"the checkpoint was made with {size_then} {self.example_name}s a step over all processes, the "
                f"run goes on with {size_now}: the rest of this epoch skips or repeats {self.example_name}s"
            )

    def _training_loader(self, dataset: ExamplesT, epoch: int, batch: int) -> DataLoader[Any]:
        rank, world_size = self._process()
        samples = math.ceil(self._examples_an_epoch(dataset) / world_size)
        if self.drop_last and samples < self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} with drop_last leaves no batch of {samples} {self.example_name}s: "
                "reduce batch_size"
            )
        start = min(samples, batch * self.batch_size)
        sampler = self._training_sampler(
            dataset, num_replicas=world_size, rank=rank, seed=self.seed, epoch=epoch, start=start
        )
        return self._loader(dataset, sampler, self.batch_size, drop_last=self.drop_last)

    def _examples_an_epoch(self, dataset: ExamplesT) -> int:
        return len(dataset)

    def _training_sampler(self, dataset: ExamplesT, **place: int) -> ResumableSampler:
        return ResumableSampler(dataset, **place)

    def _evaluation_sampler(self, dataset: Any, **process: int) -> EvaluationSampler:
        return EvaluationSampler(dataset, None, **process)

    def _evaluation_loader(self, part: Part, dataset: Examples) -> DataLoader[Any]:
        rank, world_size = self._process()
        if len(dataset) < world_size:
            raise ValueError(
                f"the {part} part has {len(dataset)} {self.example_name}(s) for {world_size} processes: use fewer"
            )
        sampler = self._evaluation_sampler(dataset, num_replicas=world_size, rank=rank)
        return self._loader(dataset, sampler, self.eval_batch_size)

    def _loader(
        self,
        dataset: Examples,
        sampler: DistributedSampler[Any],
        batch_size: int | None,
        drop_last: bool = False,
    ) -> DataLoader[Any]:
        return DataLoader(
            dataset,  # type: ignore[arg-type]  # what it needs of a Dataset it has
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=_identity,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            drop_last=drop_last,
            generator=torch.Generator().manual_seed(derive_seed(self.seed)),  # else iterating draws from the global one
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_leave_signals_to_the_run,
        )


def at_least(minimum: int, **sizes: int) -> None:
    """Refuse named sizes below a minimum.

    Raises:
        ValueError: Naming the first of them.
    """
    for name, value in sizes.items():
        if value < minimum:
            raise ValueError(f"{name}={value} is impossible: choose {minimum} or more")


@atexit.register
def _end_workers() -> None:
    # the interpreter asks them by a signal that they ignore, and would wait for one that is stuck
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()


def _leave_signals_to_the_run(worker: int) -> None:
    # clusters and terminals signal all processes; without its workers a run could not go on to its checkpoint
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)


def _identity(batch: Any) -> Any:
    return batch
