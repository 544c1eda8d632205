"""What the DataModules of pairs of sequences share: batches of about one length, for what turns one into the other."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import SequencePairBatch
from datamodules.resumable import Part, at_least
from datamodules.sampler import EvaluationSampler
from datamodules.text import TextDataModule
from datamodules.token_buckets import BucketPlan, BucketSampler
from datamodules.token_rows import TokenRows
from datamodules.vocabulary import encode_all
from networks.tokens import BOS, EOS


class TokenPairs:
    """Sequences of tokens, and those that they are to be turned into.

    Args:
        source: Tokens of each source, without special ones.
        target: Tokens of each target, without special ones.

    Attributes:
        length: int64 (N,), tokens of the longer side of each pair, special ones included.
    """

    def __init__(self, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]]) -> None:
        assert len(source) == len(target)
        self.source = TokenRows([[*row, EOS] for row in source])
        self.target = TokenRows([[BOS, *row, EOS] for row in target])
        self.length = torch.maximum(self.source.length, self.target.length)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, indices: Sequence[int]) -> SequencePairBatch:
        """Returns the batch of the pairs at these positions; where a sampler gives whole batches, it is asked so."""
        return self.__getitems__(indices)

    def __getitems__(self, indices: Sequence[int]) -> SequencePairBatch:
        """Returns the batch of the pairs at these positions."""
        index = torch.tensor(indices)
        tokens = int(self.target.length[index].sum()) - len(index)
        return SequencePairBatch(self.source.take(index), self.target.take(index), index, tokens)

    def fingerprint(self) -> str:
        """Returns a hexadecimal SHA-256 over sources and targets."""
        return hashlib.sha256(self.source.digest() + self.target.digest()).hexdigest()


class SequencePairs(TextDataModule[TokenPairs]):
    """Pairs of texts in one joint vocabulary.

    A training batch has pairs of about one length, see `BucketPlan`; a pair's length is that of its longer side.
    Evaluation goes through a part from the longest pair to the shortest, so that little of a batch is padding; `index`
    keeps the order of the part.

    Args:
        batch_size: Most training pairs a step, in each process.
        batch_tokens: Most tokens of either side a training step, padding included, in each process: the number of pairs
            times the length of the longest. None limits `batch_size` alone.
        **kwargs: See `TextDataModule`.

    Raises:
        ValueError: If a size is impossible.
    """

    example_name = "pair"

    def __init__(self, *, batch_size: int = 128, batch_tokens: int | None = None, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        if batch_tokens is not None:
            at_least(1, batch_tokens=batch_tokens)
        self.batch_tokens = batch_tokens

    @abstractmethod
    def read_pairs(self, part: Part) -> tuple[list[str], list[str]]:
        """Reads or makes the sources and the targets of a part; none if there is no validation part.

        Raises:
            ValueError: If they cannot be read.
        """

    def load_training(self) -> tuple[TokenPairs, TokenPairs | None]:
        """Reads the training and the validation part."""
        training, validation = self.encode_pairs("train"), self.encode_pairs("val")
        return training, validation if len(validation) else None

    def load_test(self) -> TokenPairs:
        """Reads the test part."""
        return self.encode_pairs("test")

    def encode_pairs(self, part: Part) -> TokenPairs:
        """Reads a part and writes it in tokens."""
        source, target = (encode_all(self.vocabulary, texts) for texts in self.read_pairs(part))
        return TokenPairs(source, target)

    def _global_batch(self) -> dict[str, int]:
        tokens = self._process()[1] * (self.batch_tokens or 0)
        return {**super()._global_batch(), "global_batch_tokens": tokens}

    def _warn_of_other_batches(self, place: dict[str, int]) -> None:
        super()._warn_of_other_batches(place)
        now = self._global_batch()["global_batch_tokens"]
        if (then := place.get("global_batch_tokens", now)) != now:
            rank_zero_warn(
                f"the checkpoint was made with a batch_tokens of {then or None} over all processes, the run goes on "
                f"with {now or None}: the rest of this epoch skips or repeats pairs"
            )

    def _training_loader(self, dataset: TokenPairs, epoch: int, batch: int) -> DataLoader[Any]:
        rank, world_size = self._process()
        plan = BucketPlan(
            dataset.length,
            batch_size=self.batch_size,
            batch_tokens=self.batch_tokens,
            world_size=world_size,
            drop_last=self.drop_last,
        )
        if not len(plan):
            raise ValueError(
                f"batch_size={self.batch_size} with drop_last leaves no batch of {len(dataset)} pairs: "
                "reduce batch_size"
            )
        sampler = BucketSampler(plan, rank=rank, seed=self.seed, epoch=epoch, start=min(len(plan), batch))
        return self._loader(dataset, sampler, batch_size=None)

    def _evaluation_sampler(self, dataset: TokenPairs, **process: int) -> EvaluationSampler:
        order: Tensor = dataset.length.argsort(descending=True, stable=True)
        return EvaluationSampler(dataset, order.tolist(), **process)
