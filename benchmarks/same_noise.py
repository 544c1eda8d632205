"""Mean output PSNR of a denoising and of a plain autoencoder fed the same corrupted MNIST test images.

python -m benchmarks.same_noise --denoising runs/EXPERIMENT/ID --plain runs/EXPERIMENT/ID --root data
"""

import argparse
from pathlib import Path

import torch

from datamodules import MNIST
from lit_models import Autoencoder, DenoisingAutoencoder
from objectives import psnr


def main() -> None:
    """Print the mean ratios in dB: of the corrupted input, and of each model's output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--denoising", type=Path, required=True, help="folder of a DenoisingAutoencoder's run")
    parser.add_argument("--plain", type=Path, required=True, help="folder of an Autoencoder's run")
    parser.add_argument("--root", default="data", help="folder that holds MNIST, or where it is downloaded to")
    arguments = parser.parse_args()

    best = Path("checkpoints/best.ckpt")
    denoising = DenoisingAutoencoder.load_from_checkpoint(arguments.denoising / best, weights_only=True).eval()
    plain = Autoencoder.load_from_checkpoint(arguments.plain / best, weights_only=True).eval()
    data = MNIST(root=arguments.root)
    rows = []
    with torch.no_grad():
        for stored in data.test_dataloader():
            batch = data.on_after_batch_transfer(stored, 0)
            noisy = denoising.corrupt(batch.image, batch.index)
            outputs = (noisy, denoising(noisy), plain(noisy))
            rows.append(torch.stack([psnr(output, batch.image) for output in outputs], dim=1))  # (B, 3)
    for name, value in zip(("input", "denoising", "plain"), torch.cat(rows).mean(0).tolist(), strict=True):
        print(f"{name:10} {value:.2f} dB")


if __name__ == "__main__":
    main()
