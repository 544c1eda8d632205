"""DataModules; importing this package makes their names known to the command line."""

from datamodules.augmentation import BatchTransform, KeyedAugmentation
from datamodules.batch import (
    DomainBatch,
    ImageBatch,
    LabelledTextBatch,
    OracleBatch,
    PointBatch,
    SequencePairBatch,
    TokenBatch,
    UnlabelledImageBatch,
    UnlabelledPointBatch,
)
from datamodules.blended_digits import BlendedDigits
from datamodules.digits import Digits
from datamodules.domains import DomainPair, OracleDomainPair
from datamodules.image_folder import ImageFolder
from datamodules.images import ImageDataModule
from datamodules.in_memory import InMemoryImages
from datamodules.labelled_text import LabelledText
from datamodules.labelled_text_file import LabelledTextFile
from datamodules.mnist_m import MNISTM
from datamodules.moons import TwoMoons
from datamodules.number_words import NumberWords
from datamodules.pairs import SequencePairs
from datamodules.parallel_text import ParallelText
from datamodules.photo_augmentation import PhotoAugmentation
from datamodules.points import GaussianGrid, GaussianMixture, GaussianRing
from datamodules.python_docs import PythonDocs
from datamodules.python_docstrings import PythonDocstrings
from datamodules.random_strings import RandomStrings
from datamodules.recall import AssociativeRecall, recall_distance
from datamodules.resumable import ResumableDataModule
from datamodules.sampler import EvaluationSampler, PairSampler, ResumableSampler
from datamodules.text import TextDataModule
from datamodules.text_file import TextFile
from datamodules.torchvision_sets import CIFAR10, KMNIST, MNIST, SVHN, USPS, FashionMNIST, TorchvisionImages

__all__ = [
    "CIFAR10",
    "KMNIST",
    "MNIST",
    "MNISTM",
    "SVHN",
    "USPS",
    "AssociativeRecall",
    "BatchTransform",
    "BlendedDigits",
    "Digits",
    "DomainBatch",
    "DomainPair",
    "EvaluationSampler",
    "FashionMNIST",
    "GaussianGrid",
    "GaussianMixture",
    "GaussianRing",
    "ImageBatch",
    "ImageDataModule",
    "ImageFolder",
    "InMemoryImages",
    "KeyedAugmentation",
    "LabelledText",
    "LabelledTextBatch",
    "LabelledTextFile",
    "NumberWords",
    "OracleBatch",
    "OracleDomainPair",
    "PairSampler",
    "ParallelText",
    "PhotoAugmentation",
    "PointBatch",
    "PythonDocs",
    "PythonDocstrings",
    "RandomStrings",
    "ResumableDataModule",
    "ResumableSampler",
    "SequencePairBatch",
    "SequencePairs",
    "TextDataModule",
    "TextFile",
    "TokenBatch",
    "TorchvisionImages",
    "TwoMoons",
    "UnlabelledImageBatch",
    "UnlabelledPointBatch",
    "recall_distance",
]
