"""Scikit-learn's digits: the data that are always at hand."""

import torch
from torch import Tensor

from datamodules.in_memory import InMemoryImages
from datamodules.split import stratified_split
from networks.shapes import ImageShape

_TEST_SIZE = 0.2
_TEST_SEED = 0


class Digits(InMemoryImages):
    """1,797 scanned digits of 8x8 pixels, part of scikit-learn: no download.

    The set is the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI). Its grey
    levels 0..16 are scaled to 0..255. It is published undivided: a stratified 20 % (359 images), drawn once and for all
    whatever the seeds, is the test part here, and the validation part is split off the other 1,438.

    Args:
        **kwargs: See `InMemoryImages`.
    """

    native_shape = ImageShape(1, 8, 8)
    class_names = tuple("0123456789")

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads the fixed 80 % or the fixed 20 %."""
        from sklearn.datasets import load_digits  # slow to import, and the other sets do without it

        images, targets = load_digits(return_X_y=True)
        image = torch.from_numpy(images).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
        label = torch.from_numpy(targets).long()
        training, test = stratified_split(label, _TEST_SIZE, _TEST_SEED)
        chosen = training if train else test
        return image[chosen], label[chosen]
