"""MNIST's training images as float32 batches in [0, 1], without training: the data path of benchmarks.throughput.

python -m benchmarks.loading --root data --by module
"""

import argparse
import time
from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

from datamodules import MNIST

BATCH_SIZE = 128  # of configs/vae/mnist.yaml


def main(words: list[str] | None = None) -> None:
    """Print the images and seconds of two passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--by", choices=("module", "sample"), required=True, help="our data module, or torchvision")
    arguments = parser.parse_args(words)
    passes = by_module(arguments.root) if arguments.by == "module" else by_sample(arguments.root)
    for _ in range(2):
        start = time.perf_counter()
        count = sum(len(image) for image in next(passes))
        print(f"timed {count} {time.perf_counter() - start}", flush=True)


def by_module(root: str) -> Iterator[Iterator[Tensor]]:
    """Passes over what the data module gives the training: 54,000 images, the others being held out."""
    module = MNIST(root=root, batch_size=BATCH_SIZE)
    loader = module.train_dataloader()
    while True:
        yield (module.on_after_batch_transfer(batch, 0).image for batch in loader)


def by_sample(root: str) -> Iterator[Iterator[Tensor]]:
    """Passes over torchvision's data set, which makes one image at a time: all 60,000."""
    images = datasets.MNIST(root, train=True, download=True, transform=ToTensor())
    loader = DataLoader(images, batch_size=BATCH_SIZE, shuffle=True)
    while True:
        yield (image for image, _ in loader)


if __name__ == "__main__":
    main()
