"""The training of configs/gan/mnist.yaml as a loop written by hand: the yardstick of benchmarks.throughput.

    python -m benchmarks.gan_hand_loop --root data --epochs 3 --batches 100

Networks and their sizes, losses, optimizers and the moving average of the generator are those of the configuration, and
both players are shown the same generated images. There is no validation, no log and no checkpoint.
"""

import argparse
import time
from copy import deepcopy

import torch
import torch.nn.functional as F
from torchvision.datasets import MNIST

from networks import DCGANDiscriminator, DCGANGenerator

SHAPE = (1, 28, 28)
LATENT_DIM = 64
WIDTH = 32
BATCH_SIZE = 64
HELD_OUT = 0.1  # share of the images that the configuration validates on
RATE, BETAS = 2e-4, (0.5, 0.999)
EMA_DECAY = 0.999


def main(words: list[str] | None = None) -> None:
    """Train, and print the samples and seconds of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batches", type=int, help="of each epoch; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    torch.manual_seed(arguments.seed)

    published = MNIST(arguments.root, train=True, download=True).data.unsqueeze(1)  # uint8 (60000, 1, 28, 28)
    images = published[round(HELD_OUT * len(published)) :]
    generator = DCGANGenerator(LATENT_DIM, SHAPE, width=WIDTH)
    discriminator = DCGANDiscriminator(SHAPE, width=WIDTH, normalisation="batch")
    average = deepcopy(generator).requires_grad_(False)
    averaged, followed = ([*net.parameters(), *statistics(net)] for net in (average, generator))
    generator_adam, discriminator_adam = (
        torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS, fused=True) for net in (generator, discriminator)
    )
    step = 0
    for _ in range(arguments.epochs):
        samples, start = 0, time.perf_counter()
        order = torch.randperm(len(images)).split(BATCH_SIZE)  # type: ignore[no-untyped-call]
        for index in order[: arguments.batches]:
            step += 1
            samples += len(index)
            x = images.index_select(0, index).float().div_(255)
            fake = generator(torch.randn(len(x), LATENT_DIM))

            loss = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fake.detach())).mean()
            discriminator_adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            discriminator_adam.step()

            discriminator.requires_grad_(False)
            loss = F.softplus(-discriminator(fake)).mean()
            generator_adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            generator_adam.step()
            discriminator.requires_grad_(True)

            share = 1 - min(EMA_DECAY, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(averaged, followed, share)
        print(f"timed {samples} {time.perf_counter() - start}", flush=True)


def statistics(network: torch.nn.Module) -> list[torch.Tensor]:
    """Running means and variances of a network's batch normalisation."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


if __name__ == "__main__":
    main()
