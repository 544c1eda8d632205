"""Pictures on their way to the run's folder and to Weights & Biases."""

import math
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from PIL import Image

from callbacks.drawing import save_png
from callbacks.whole_file import whole_file

MOST_FRAMES = 60
_SIDE = 500  # pixels that a frame has at most
_FRAME_MS, _LAST_MS = 120, 1500


class DrawingCallback(Callback):
    """A callback that draws pictures of a run, and knows which.

    Attributes:
        paths: the pictures of this run so far, in the order in which they were first drawn.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def _publish(self, trainer: Trainer, name: str, figure: Figure) -> Path:
        """Publishes a figure as `publish` does, and notes where it is."""
        path = publish(trainer, name, figure)
        self._note(path)
        return path

    def _note(self, path: Path) -> None:
        if path not in self.paths:
            self.paths.append(path)


def publish(trainer: Trainer, name: str, figure: Figure) -> Path:
    """Writes a figure to the run's ``media/`` folder and sends it to Weights & Biases, where that is a logger.

    Args:
        trainer: the run.
        name: file name without its ending; the key in Weights & Biases is ``media/<name>``.
        figure: what to write.

    Returns:
        The path of the PNG.
    """
    path = _media(trainer) / f"{name}.png"
    save_png(figure, path)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            step = batches_seen(trainer) if trainer.state.fn == TrainerFn.FITTING else None
            logger.log_image(f"media/{name}", [str(path)], step=step)
    return path


def publish_frame(trainer: Trainer, picture: Path) -> Path:
    """Adds a picture to those before it in ``media/frames/``, and makes one GIF of them all.

    Frames are named by the training batches before them. Of more than ``MOST_FRAMES``, the GIF has evenly spaced ones,
    the first and the last among them.

    Args:
        trainer: the run, in training.
        picture: the PNG to add a smaller copy of.

    Returns:
        The path of the GIF, which has the name of the picture and is sent to Weights & Biases like it.
    """
    step = batches_seen(trainer)
    frame = _frames(trainer) / f"{picture.stem}-{step:09d}.png"
    with Image.open(picture) as image:
        factor = math.ceil(max(image.size) / _SIDE)  # a whole one keeps the pixels of enlarged images sharp
        small = image.convert("RGB").reduce(factor).quantize()
        _save(small, frame)
    path = picture.with_suffix(".gif")
    images = []
    for place in thinned(sorted(frame.parent.glob(f"{picture.stem}-*.png"))):
        with Image.open(place) as image:
            if image.size == small.size:  # a continued run may draw more samples than before
                images.append(image.copy())
    durations = [*[_FRAME_MS] * (len(images) - 1), _LAST_MS]
    _save(images[0], path, save_all=True, append_images=images[1:], duration=durations, loop=0)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_video(f"media/{picture.stem}_over_time", [str(path)], step=step, format=["gif"])
    return path


def forget_later_frames(trainer: Trainer) -> None:
    """Removes the frames of training batches that this run is going to see again."""
    for frame in _frames(trainer).glob("*-*.png"):
        if int(frame.stem.rpartition("-")[2]) > batches_seen(trainer):
            frame.unlink()


def thinned(frames: list[Path]) -> list[Path]:
    """At most ``MOST_FRAMES`` of them, evenly spaced, the first and the last among them."""
    if len(frames) <= MOST_FRAMES:
        return frames
    return [frames[round(place * (len(frames) - 1) / (MOST_FRAMES - 1))] for place in range(MOST_FRAMES)]


def batches_seen(trainer: Trainer) -> int:
    """Training batches so far; ``global_step`` would count each optimizer."""
    return trainer.fit_loop.epoch_loop.total_batch_idx + 1


def _media(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "media"


def _frames(trainer: Trainer) -> Path:
    return _media(trainer) / "frames"


def _save(image: Image.Image, path: Path, **settings: object) -> None:
    """Replace a picture as a whole."""
    with whole_file(path) as unfinished:
        image.save(unfinished, format=path.suffix[1:].upper(), **settings)
