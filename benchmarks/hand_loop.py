"""The training of configs/vae/mnist.yaml as a loop written by hand: the yardstick of benchmarks.throughput.

    python -m benchmarks.hand_loop --root data --epochs 3

Networks and their sizes, likelihood, loss, optimizer and schedule are those of the configuration. There is no
validation, no log and no checkpoint.
"""

import argparse
import math
import time

import torch
import torch.nn.functional as F
from torchvision.datasets import MNIST

from networks import ImageShape, MLPDecoder, MLPEncoder

SHAPE = ImageShape(1, 28, 28)
LATENT_DIM = 50
BATCH_SIZE = 128
HELD_OUT = 0.1  # share of the images that the configuration validates on
RATE, WARMUP = 2e-3, 0.05


def main(words: list[str] | None = None) -> None:
    """Train, and print the samples and seconds of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    torch.manual_seed(arguments.seed)

    published = MNIST(arguments.root, train=True, download=True).data.unsqueeze(1)  # uint8 (60000, 1, 28, 28)
    images = published[round(HELD_OUT * len(published)) :]
    encoder = MLPEncoder(SHAPE, 2 * LATENT_DIM, hidden=(200, 200), activation="tanh")
    decoder = MLPDecoder(LATENT_DIM, SHAPE, hidden=(200, 200), activation="tanh")
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE, fused=True)
    step, steps = 0, arguments.epochs * math.ceil(len(images) / BATCH_SIZE)
    for _ in range(arguments.epochs):
        start = time.perf_counter()
        for index in torch.randperm(len(images)).split(BATCH_SIZE):  # type: ignore[no-untyped-call]
            step += 1
            optimizer.param_groups[0]["lr"] = RATE * schedule(step / steps)
            image = images.index_select(0, index).float().div_(255)
            x = (torch.rand_like(image) < image).float()
            mu, logvar = encoder(x).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            reconstruction = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
            optimizer.zero_grad()
            ((reconstruction + kl) / len(x)).backward()
            optimizer.step()
        print(f"timed {len(images)} {time.perf_counter() - start}", flush=True)


def schedule(progress: float) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine."""
    if progress < WARMUP:
        return progress / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


if __name__ == "__main__":
    main()
