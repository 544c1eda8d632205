"""MNIST-M, made here from MNIST and a folder of photographs."""

import hashlib
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from datamodules.blending import blend
from datamodules.decoding import decode_whole, pictures_under
from datamodules.in_memory import InMemoryImages
from datamodules.seeding import derive_seed
from datamodules.torchvision_sets import MNIST
from networks.shapes import ImageShape

_RECIPE = 1  # counts the ways in which the set has been made, so that a cache of an older one is not taken
_TEST_EVERY = 5
_SHOWN = 100
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class _Photographs:
    """Photographs that are decoded when they are asked for, uint8 (3, h, w) each."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        photograph = decode_whole(self.paths[place])
        if min(photograph.shape[1:]) < MNISTM.native_shape.height:
            raise ValueError(f"photograph {str(self.paths[place])!r} is smaller than a digit: remove it")
        return photograph


class MNISTM(InMemoryImages):
    """MNIST in colour, each digit blended with a crop of a photograph, 60,000 + 10,000, 28x28.

    Made as in Ganin et al., "Domain-Adversarial Training of Neural Networks" (JMLR 2016, section 5.2), see `blend`.
    Their crops are of the photographs of BSDS500. Every fifth photograph, in the order of their paths, belongs to the
    test part, the others to the training and the validation part. Which crop each digit gets follows from `blend_seed`
    and the photographs, so the images are not those of the authors' own file, which names neither.

    A part is made when it is first needed, and kept in `cache` under a name that depends on what it was made from. A
    picture of its first digits lies beside it.

    Args:
        root: Folder that holds MNIST or shall hold it, laid out as torchvision does.
        photos: Folder of photographs, in whatever folders below it.
        blend_seed: Seed of the crops; not `seed`, so that runs with different seeds share them.
        cache: Folder for the result.
        download: Download MNIST if it is missing; photographs never are.
        **kwargs: See `InMemoryImages`.

    Raises:
        ValueError: If a size is impossible.
    """

    native_shape = ImageShape(3, 28, 28)
    class_names = MNIST.class_names

    def __init__(
        self,
        *,
        photos: str,
        root: str = "data",
        blend_seed: int = 0,
        cache: str = "data/mnist_m",
        download: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.photos = photos
        self.root = root
        self.blend_seed = blend_seed
        self.cache = cache
        self.download = download

    def prepare_data(self) -> None:
        """Loads what the stage needs in one process per node, so that the others find it made."""
        self.setup("fit" if self.trainer is None or self.trainer.state.fn is None else self.trainer.state.fn.value)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads the training or the test part from the cache, where it is made if need be.

        Raises:
            ValueError: If MNIST or the photographs cannot be read, or the cache cannot be written.
        """
        paths = self._paths(train)
        digit, label = MNIST(root=self.root, download=self.download).read(train)
        path = Path(self.cache) / f"{'train' if train else 'test'}-{self._key(digit, paths)}.npz"
        image = _read_cache(path, len(digit))
        if image is None:
            generator = torch.Generator().manual_seed(derive_seed(self.blend_seed, int(train)))
            image = blend(digit, _Photographs(paths), generator)
            self._keep(image, path)
            print(
                f"MNIST-M: {len(image):,} {'training' if train else 'test'} digits blended with {len(paths)} "
                f"photographs, see {path.with_suffix('.png')}",
                flush=True,
            )
        return image, label

    def _paths(self, train: bool) -> list[Path]:
        folder = Path(self.photos)
        paths = pictures_under(folder) if folder.is_dir() else []
        if len(paths) < _TEST_EVERY:
            raise ValueError(
                f"photos={self.photos!r} holds {len(paths)} photographs, MNIST-M needs {_TEST_EVERY} or more: "
                "give a folder of them, such as that of BSDS500"
            )
        return [path for place, path in enumerate(paths) if (place % _TEST_EVERY == _TEST_EVERY - 1) != train]

    def _key(self, digit: Tensor, paths: Sequence[Path]) -> str:
        """What the result depends on, in 16 hexadecimal digits; the photographs are too many to read for it."""
        made_from = hashlib.sha256(f"{_RECIPE} {self.blend_seed} {tuple(digit.shape)}\n".encode())
        made_from.update(digit.numpy().tobytes())
        for path in paths:
            made_from.update(f"{path.relative_to(self.photos)}:{path.stat().st_size}\n".encode())
        return made_from.hexdigest()[:16]

    def _keep(self, image: Tensor, path: Path) -> None:
        temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")  # several nodes may share the folder
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    np.savez(file, image=image.numpy())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            _preview(image[:_SHOWN]).save(path.with_suffix(".png"))
        except OSError as error:
            raise ValueError(f"cache={self.cache!r} cannot be written: choose a folder that can ({error})") from None


def _read_cache(path: Path, count: int) -> Tensor | None:
    """The images of a whole cache file; None if there is none, or it is damaged, which its checksum tells."""
    try:
        with np.load(path, allow_pickle=False) as file:
            image = torch.from_numpy(file["image"])
    except _DAMAGED:
        return None
    whole = image.dtype == torch.uint8 and tuple(image.shape) == (count, *MNISTM.native_shape)
    return image if whole else None


def _preview(image: Tensor) -> Image.Image:
    grid = make_grid(image, nrow=10, padding=2, pad_value=255).permute(1, 2, 0).contiguous()
    return Image.fromarray(grid.numpy()).resize((2 * grid.shape[1], 2 * grid.shape[0]), Image.Resampling.NEAREST)
