"""Two domains side by side, for adaptation: a labelled source, and a target whose labels only `test` can read."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import DomainBatch, ImageBatch, OracleBatch, UnlabelledImageBatch
from datamodules.domain_fit import one_domain, refuse_ignored_settings, refuse_misfits
from datamodules.images import ImageDataModule
from datamodules.resumable import Part, ResumableDataModule
from datamodules.sampler import PairSampler, ResumableSampler
from datamodules.seeding import derive_seed
from networks.shapes import ImageShape

_SOURCE, _TARGET = range(2)  # streams, so that augmentation is drawn independently in the two domains


class PairedExamples:
    """The same part of both domains, read in pairs.

    Args:
        source: Examples with classes.
        target: Examples without.
    """

    def __init__(self, source: Any, target: Any) -> None:
        self.source = source
        self.target = target

    def __len__(self) -> int:
        return max(len(self.source), len(self.target))

    def __getitems__(self, codes: Sequence[int]) -> DomainBatch | OracleBatch:
        """Returns the batch of the pairs with these codes, see `PairSampler`."""
        source, target = self.positions(codes)
        return DomainBatch(self.source.__getitems__(source), self.target.__getitems__(target))

    def positions(self, codes: Sequence[int]) -> tuple[list[int], list[int]]:
        """Returns the positions in the source and in the target of the pairs with these codes."""
        code = torch.tensor(codes)
        return (code // len(self.target)).tolist(), (code % len(self.target)).tolist()

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over the source with, and the target without labels."""
        parts = self.source.fingerprint() + self.target.unlabelled().fingerprint()
        return hashlib.sha256(parts.encode()).hexdigest()


class _OracleExamples(PairedExamples):
    """The pairs' targets alone, with their classes."""

    def __getitems__(self, codes: Sequence[int]) -> OracleBatch:
        return OracleBatch(self.target.__getitems__(self.positions(codes)[1]))


class DomainPair(ResumableDataModule[PairedExamples]):
    """A labelled source and an unlabelled target with the same classes.

    Training gives a `DomainBatch`, `batch_size` examples of each domain. An epoch has as many of each as the longer
    domain; the shorter one repeats, reshuffled (see `PairSampler`). Validation goes through the validation parts of
    the source, with labels, and of the target, without. Testing goes through the test parts of both, with labels.
    Predicting goes through the target's `predict_part`, without.

    The target's labels are dropped as soon as it is loaded. Batches of the target have no field for them, and its split
    is drawn blindly, so that nothing before `test` depends on them: neither a batch nor the fingerprint.

    Grey images beside colour ones get three equal channels. The seed of the augmentation of either domain follows the
    pair's.

    Args:
        source: The domain with labels.
        target: The domain whose labels only `test` reads; a folder without labels can be trained on, but not tested.
        balanced: Draw the classes of the source equally often, however many examples they have.
        **kwargs: See `ResumableDataModule`; `batch_size` is that of each domain. They are set here, not in the domains.

    Attributes:
        domains: What the two are called, in the order of the loaders.

    Raises:
        ValueError: If the domains do not fit each other, or a setting of theirs would be ignored.
    """

    domains = ("source", "target")

    def __init__(
        self,
        *,
        source: ResumableDataModule,  # type: ignore[type-arg]  # the command line cannot fill in a type's parameters
        target: ResumableDataModule,  # type: ignore[type-arg]
        balanced: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.target = one_domain("source", source), one_domain("target", target)
        self.balanced = balanced
        self.example_name = source.example_name  # type: ignore[misc]  # of this pair's domains
        for stream, (name, domain) in enumerate((("source", self.source), ("target", self.target))):
            refuse_ignored_settings(name, domain)
            if isinstance(domain, ImageDataModule) and domain.augmentation is not None:
                domain.augmentation.seed = derive_seed(self.seed, stream) >> 1  # seeds fit 64 bits with sign
        refuse_misfits(self.source, self.target)
        if isinstance(self.target, ImageDataModule):
            self.target.stratified = False
        self._blind: dict[Part, Any] = {}

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one example of either domain as the model gets it."""
        return self.image_shape if isinstance(self.source, ImageDataModule) else self.source.data_shape

    @property
    def image_shape(self) -> ImageShape:
        """Shape of the images as the model gets them; there is none for points."""
        shape: ImageShape = self.source.image_shape  # type: ignore[union-attr]
        return shape._replace(channels=max(shape.channels, self.target.data_shape[0]))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, those of the source."""
        return self.source.class_names

    def prepare_data(self) -> None:
        """Lets both domains find or download what they need, in one process per node."""
        self._introduce()
        self.source.prepare_data()
        self.target.prepare_data()
        if not self._testing():
            self._drop_labels()

    def setup(self, stage: str) -> None:
        """Loads what the stage ("fit", "validate", "test" or "predict") needs; other than in "test", without labels."""
        self._introduce()
        if stage != "test":
            self._datasets.pop("test", None)
            self._drop_labels()
        if stage == "predict":
            self._without_labels(self.predict_part)
        else:
            super().setup(stage)

    def load_training(self) -> tuple[PairedExamples, PairedExamples]:
        """Loads the training and the validation part of both domains.

        Raises:
            ValueError: If a domain has no validation part, or classes that are to be drawn equally often no examples.
        """
        training = PairedExamples(self.source.dataset("train"), self._without_labels("train"))
        if self.balanced and len(present := set(training.source.label.tolist())) < self.num_classes:
            missing = ", ".join(name for place, name in enumerate(self.class_names) if place not in present)
            raise ValueError(f"balanced=True needs training examples of every class, the source has none of: {missing}")
        for name, domain in (("source", self.source), ("target", self.target)):
            if domain.val_size == 0:  # may be said of a folder that has a validation part of its own
                try:
                    domain.dataset("val")
                except ValueError:
                    raise ValueError(f"{name}.val_size=0 leaves it no validation part: choose a larger one") from None
        return training, PairedExamples(self.source.dataset("val"), self._without_labels("val"))

    def load_test(self) -> PairedExamples:
        """Loads the test part of both domains, with labels.

        Raises:
            ValueError: If this is not `test`, or the target has no labels.
        """
        self._refuse_outside_test("test part")
        return PairedExamples(self.source.dataset("test"), self.target.dataset("test"))

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Builds the loaders of the validation parts: of the source with labels, of the target without."""
        part = self.dataset("val")
        return [self._evaluation_loader("val", dataset) for dataset in (part.source, part.target)]

    def test_dataloader(self) -> list[DataLoader[Any]]:  # type: ignore[override]  # two where others have one
        """Builds the loaders of the test parts: of the source and of the target, both with labels."""
        self._refuse_outside_test("test part")
        part = self.dataset("test")
        return [self._evaluation_loader("test", dataset) for dataset in (part.source, part.target)]

    def predict_dataloader(self) -> DataLoader[Any]:
        """Builds the loader of the target's `predict_part`, in order, without labels and without augmentation."""
        return self._evaluation_loader(self.predict_part, self._without_labels(self.predict_part))

    def oracle_labels(self) -> Tensor:
        """Reads the classes of the target's validation part, to look back on a finished run.

        Returns:
            int64 (N,), in the order of that part.

        Raises:
            ValueError: If this is not `test`, or the target has no labels.
        """
        self._refuse_outside_test("labels")
        label: Tensor = self.target.dataset("val").label  # type: ignore[union-attr]  # refused above where there are none
        self._drop_labels()
        return label

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Lets each domain do to its examples what it does after their transfer, and repeats grey as colour.

        Args:
            batch: A batch of one domain or of both.
            dataloader_idx: In validation and test 0 for the source, 1 for the target.

        Returns:
            The batch as the model gets it.
        """
        if isinstance(batch, DomainBatch):
            return DomainBatch(self._arrived(self.source, batch.source), self._arrived(self.target, batch.target))
        if isinstance(batch, OracleBatch):
            return OracleBatch(self._arrived(self.target, batch.target))
        predicting = self.trainer is not None and self.trainer.predicting
        return self._arrived(self.target if predicting or dataloader_idx == 1 else self.source, batch)

    def _arrived(self, domain: ResumableDataModule[Any], batch: Any) -> Any:
        batch = domain.on_after_batch_transfer(batch, 0)
        if isinstance(batch, ImageBatch | UnlabelledImageBatch) and batch.image.shape[1] < self.data_shape[0]:
            batch = batch._replace(image=batch.image.expand(-1, self.data_shape[0], -1, -1))
        return batch

    def _training_sampler(self, dataset: PairedExamples, **place: int) -> ResumableSampler:
        label = dataset.source.label if self.balanced else None
        return PairSampler(len(dataset.source), len(dataset.target), label=label, **place)

    def _introduce(self) -> None:
        # their augmentation and their preparation ask the Trainer
        self.source.trainer = self.target.trainer = self.trainer

    def _without_labels(self, part: Part) -> Any:
        """A part of the target that nobody can read labels from."""
        if part not in self._blind:
            self.target.dataset(part)
            self._drop_labels()
        return self._blind[part]

    def _drop_labels(self) -> None:
        for part, dataset in self.target.take_parts().items():
            self._keep(part, dataset)

    def _keep(self, part: Part, dataset: Any) -> None:
        self._blind[part] = dataset.unlabelled()

    def _testing(self) -> bool:
        return self.trainer is not None and self.trainer.state.fn == TrainerFn.TESTING

    def _refuse_outside_test(self, what: str) -> None:
        if not self._testing():
            raise ValueError(f"the target's {what} would show its labels, which only test reads: run test")
        if not self.target.num_classes:
            raise ValueError("the target has no labels to test on: sort its pictures into folders of classes")


class OracleDomainPair(DomainPair):
    """The same pair for the upper bound: it trains on the target with its labels, and gives no source.

    A training step has the target's examples of `DomainPair`'s in an `OracleBatch`, so that both train equally long on
    the same ones. Everything else is as there.

    Args:
        **kwargs: See `DomainPair`.

    Raises:
        ValueError: As `DomainPair`, and if the target has no labels, or the source would be balanced.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.target.num_classes:
            raise ValueError("the target has no labels to train on: sort its pictures into folders of classes")
        if self.balanced:
            raise ValueError("balanced=True is of no use, the source is not trained on: leave it out")
        self._labelled: Any = None

    def load_training(self) -> tuple[PairedExamples, PairedExamples]:
        """Loads the training part with the target's labels, and the validation part as `DomainPair` does.

        Raises:
            ValueError: If a domain has no validation part.
        """
        training, validation = super().load_training()
        return _OracleExamples(training.source, self._labelled), validation

    def _keep(self, part: Part, dataset: Any) -> None:
        if part == "train":
            self._labelled = dataset
        super()._keep(part, dataset)
