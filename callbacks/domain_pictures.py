"""Pictures of what becomes of two domains: their features, the decision boundary, the confusions of the target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch import Tensor

from callbacks.class_names import class_names
from callbacks.confusion_drawing import confusion_table, confusions
from callbacks.domain_drawing import (
    Classes,
    Decision,
    Plane,
    boundary_panels,
    class_scatter,
    domain_scatter,
)
from callbacks.predictions import Arrays, gather_parts, load_arrays, merge_parts, save_arrays, stack
from callbacks.protocols import SOURCE, TARGET, Adapting
from callbacks.publishing import DrawingCallback, batches_seen
from callbacks.undisturbed import undisturbed

FILE = "domains_before.npz"
LIMIT = 500  # examples of each domain that are drawn
COMPONENTS = 50  # of the features, that t-SNE is given
_ITERATIONS = 500  # of t-SNE, which take three seconds; as many again change little
_GRID = 160  # points along each side of the plane
SEED = 0


class DomainPictures(DrawingCallback):
    """Draws the two domains of an ``Adapting`` model, into the run's ``media/`` folder and to Weights & Biases.

    When training ends, and after a validation of its own:

    - ``domains.png``: the features of both domains in the plane (t-SNE), coloured by domain, as they were at the first
      validation of the run and as they are now. The better the domains are mixed, the less a classifier of domains
      has to go by; whether the classes are where they belong, it does not show.
    - ``boundary.png``, of points in the plane: what the model decides where, then and now, the target's points being
      grey, as their classes are not known

    After a test, when they are:

    - ``test_domains.png``: the features, coloured by class, and by domain in their marks
    - ``test_boundary.png``, of points in the plane: the same with the target's points in the colours of their classes
    - ``test_confusion.png``: how often each class of the target was taken for which, over all processes

    The scatters show the first 500 examples of each domain, of the process of rank zero, which alone draws. What was
    seen at the first validation is kept in ``domains_before.npz`` in the run's folder for a run that goes on. A new
    picture replaces the one before, and drawing leaves no trace in training (``undisturbed``).

    Source: van der Maaten & Hinton, "Visualizing Data using t-SNE" (2008), with their 50 principal components before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._domains = (_Examples(), _Examples())
        self._tested: list[dict[str, Tensor]] = []
        self._confused: Arrays = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start anew with the examples."""
        self._domains = (_Examples(), _Examples())
        self._tested = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the features of the first examples."""
        if isinstance(pl_module, Adapting) and trainer.is_global_zero and not trainer.sanity_checking:
            self._domains[dataloader_idx].add(outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the first validation of a training saw; draw one that is all that was asked for."""
        if not self._seen:
            return
        before = load_arrays(_path(trainer))
        if trainer.state.fn != TrainerFn.FITTING:
            self._draw_then_and_now(trainer, pl_module, before, "now")
        elif not before or before["batches"] >= batches_seen(trainer):  # the latter of a run that begins anew
            save_arrays(_path(trainer), {"batches": np.array(batches_seen(trainer)), **self._state(pl_module, {})})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the trained model, while it is still on its device."""
        if self._seen:
            before, batches = load_arrays(_path(trainer)), batches_seen(trainer)
            then = before if before and before["batches"] < batches else {}
            self._draw_then_and_now(trainer, pl_module, then, f"after {batches:,} training batches")

    on_test_epoch_start = on_validation_epoch_start

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the features of the first examples, and the confusions of the target."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        if isinstance(pl_module, Adapting) and dataloader_idx == TARGET:
            self._tested.append({key: outputs[key] for key in ("index", "predicted", "label")})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the confusions of all processes together."""
        if isinstance(pl_module, Adapting):
            self._confused = merge_parts(gather_parts(stack(self._tested), trainer))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test data."""
        if not self._seen or not self._confused:
            return
        source, target = self._domains
        predicted, label = (torch.from_numpy(self._confused[key]).long() for key in ("predicted", "label"))
        names = class_names(trainer, 1 + int(max(predicted.max(), label.max(), source.labels().max())))
        classes, domains = Classes(source.labels(), target.labels(), names), _domains(pl_module)
        accuracy = (
            f"{float((predicted == label).double().mean()):.1%} of {len(label):,} {domains[1]} test examples right"
        )
        state = self._state(pl_module, {})
        if plane := in_the_plane(state):
            title = f"Features (t-SNE) of two domains: {accuracy}"
            self._publish(trainer, "test_domains", class_scatter(plane, classes, domains, title))
        if decision := _decision(state):
            figure = boundary_panels({"": decision}, self._points(), classes, domains, accuracy)
            self._publish(trainer, "test_boundary", figure)
        counts = confusions(label, predicted, len(names))
        self._publish(trainer, "test_confusion", confusion_table(counts, names, accuracy))

    def _draw_then_and_now(self, trainer: Trainer, model: LightningModule, before: Arrays, now: str) -> None:
        domains = _domains(model)
        state = self._state(model, before)
        states = {f"first validation, after {before['batches']:,} training batches": before} if before else {}
        states[now] = state
        planes = {name: plane for name, arrays in states.items() if (plane := in_the_plane(arrays))}
        if planes:
            figure = domain_scatter(planes, domains, "Features of two domains (t-SNE)")
            self._publish(trainer, "domains", figure)
        decisions = {name: decision for name, arrays in states.items() if (decision := _decision(arrays))}
        if decisions:
            names = class_names(trainer, state["probability"].shape[-1])
            classes = Classes(self._domains[SOURCE].labels(), None, names)
            figure = boundary_panels(decisions, self._points(), classes, domains, "What the model decides where")
            self._publish(trainer, "boundary", figure)

    def _state(self, model: LightningModule, before: Arrays) -> Arrays:
        """What pictures show of a model.

        Features ``source`` (N, D) and ``target`` (M, D) with D at most 50; of points also ``probability`` (H, W, K)
        between ``low`` (2,) and ``high`` (2,), where those of ``before`` are if it has any.
        """
        features = [domain.features().numpy() for domain in self._domains]
        joint = principal_components(np.concatenate(features))
        arrays = {"source": joint[: len(features[SOURCE])], "target": joint[len(features[SOURCE]) :]}
        if self._domains[SOURCE].points() is None:
            return arrays
        low, high = (before["low"], before["high"]) if "low" in before else _range(torch.cat(self._points()))
        x, y = (torch.linspace(float(start), float(end), _GRID) for start, end in zip(low, high, strict=True))
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (H, W, 2)
        with undisturbed(model, SEED):
            logits = model(grid.flatten(0, 1).to(model.device))
        probability = logits.float().softmax(dim=1).view(_GRID, _GRID, -1).cpu().half().numpy()
        return {**arrays, "probability": probability, "low": low, "high": high}

    def _points(self) -> Plane:
        source, target = (domain.points() for domain in self._domains)
        assert source is not None
        assert target is not None
        return Plane(source, target)

    @property
    def _seen(self) -> bool:
        return all(domain.count for domain in self._domains)


class _Examples:
    """The first examples of a domain, on the host."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: dict[str, list[Tensor]] = {"feature": [], "label": [], "point": []}

    def add(self, outputs: Mapping[str, Tensor], batch: Any) -> None:
        """Keep the examples of a batch for which there is room."""
        room = LIMIT - self.count
        if room <= 0:
            return
        x = getattr(batch, "x", None)
        is_point = isinstance(x, Tensor) and x.ndim == 2 and x.shape[1] == 2
        found = {"feature": outputs["feature"].float(), "label": outputs.get("label"), "point": x if is_point else None}
        for name, values in found.items():
            if values is not None:
                self._parts[name].append(values[:room].detach().cpu())
        self.count += len(self._parts["feature"][-1])

    def features(self) -> Tensor:
        return torch.cat(self._parts["feature"])

    def labels(self) -> Tensor:
        return torch.cat(self._parts["label"])

    def points(self) -> Tensor | None:
        return torch.cat(self._parts["point"]) if self._parts["point"] else None


def principal_components(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the first 50 principal components (N, 50) of features (N, D), or them as they are if D is no more."""
    if features.shape[1] <= COMPONENTS or not np.isfinite(features).all():
        return features[:, :COMPONENTS]
    from sklearn.decomposition import PCA  # slow to import, and few runs need it

    kept = min(COMPONENTS, len(features))
    components: NDArray[np.float32] = PCA(kept, svd_solver="randomized", random_state=SEED).fit_transform(features)
    return components.astype(np.float32)


def in_the_plane(state: Mapping[str, NDArray[Any]]) -> Plane | None:
    """Lays features of two domains out in the plane together, by t-SNE that begins at the principal components.

    Args:
        state: ``source`` (N, D) and ``target`` (M, D).

    Returns:
        The same examples; None if there are too few to lay out, or the features are all the same or not finite.
    """
    features = np.concatenate([state["source"], state["target"]]).astype(np.float64)
    if len(features) < 8 or features.shape[1] < 2 or not np.isfinite(features).all() or not features.std():
        return None
    from sklearn.manifold import TSNE  # slow to import, and few runs need it
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, len(features) / 4)
    tsne = TSNE(perplexity=perplexity, init="pca", max_iter=_ITERATIONS, random_state=SEED)
    with threadpool_limits(1):  # more threads wait for each other where the cores are busy, at many times the cost
        plane = torch.from_numpy(tsne.fit_transform(features))
    return Plane(plane[: len(state["source"])], plane[len(state["source"]) :])


def _decision(state: Mapping[str, NDArray[Any]]) -> Decision | None:
    if "probability" not in state:
        return None
    low, high = (tuple(state[end].tolist()) for end in ("low", "high"))
    return Decision(torch.from_numpy(state["probability"]), low, high)


def _range(points: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The smallest and largest coordinates of points, with a margin."""
    low, high = points.amin(dim=0), points.amax(dim=0)
    margin = 0.08 * (high - low).amax().clamp(min=1e-6)
    return (low - margin).numpy(), (high + margin).numpy()


def _domains(model: LightningModule) -> tuple[str, str]:
    assert isinstance(model, Adapting)
    return model.domains


def _path(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / FILE
