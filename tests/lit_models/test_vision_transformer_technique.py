"""The Vision Transformer as a technique: mixed images, what decays, and what others make of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import AdamW

from datamodules import ImageBatch
from lit_models import Classifier, TransferClassifier, ViT
from networks import ConvClassifier, CutMix, Mixed, Mixing, MixUp, VisionTransformer

KINDS = pytest.mark.parametrize("kind", [Classifier, ViT])


class Quarter(Mixing):
    """Mixes each image with the next one, a quarter of it."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def forward(self, image: Tensor) -> Mixed:
        partner = torch.arange(len(image)).roll(-1)
        return Mixed(0.75 * image + 0.25 * image[partner], partner, torch.full((len(image),), 0.75))


@KINDS
def test_every_classifier_learns_mixed_images_by_mixed_targets(
    kind: type[Classifier], build: Callable[..., Any], batch: ImageBatch
) -> None:
    terms = build(kind, mixing=Quarter(), label_smoothing=0.1).loss(batch)
    plain = build(kind)
    logits = plain(0.75 * batch.image + 0.25 * batch.image.roll(-1, 0))
    cross = partial(F.cross_entropy, logits, label_smoothing=0.1)
    torch.testing.assert_close(terms.total, 0.75 * cross(batch.label) + 0.25 * cross(batch.label.roll(-1)))
    assert terms.accuracy.item() == pytest.approx((logits.argmax(1) == batch.label).float().mean().item())


@KINDS
@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_evaluation_mixes_nothing(
    kind: type[Classifier], mixing: type[Mixing], build: Callable[..., Any], batch: ImageBatch
) -> None:
    model, plain = build(kind, mixing=mixing()).eval(), build(kind).eval()  # type: ignore[call-arg]
    assert (model.mixes, plain.mixes) == (True, False)
    torch.testing.assert_close(model.loss(batch), plain.loss(batch))


def test_matrices_decay_and_nothing_else(build: Callable[..., Any]) -> None:
    model = build(ViT, optimizer=partial(AdamW, weight_decay=0.3))
    optimizer = model.configure_optimizers()
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    decay = {
        named[id(parameter)]: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]
    }
    assert decay.keys() == dict(model.named_parameters()).keys()
    for name in ("class_token", "position", "embedding.bias", "encoder.norm.weight"):
        assert decay[f"network.encoder.{name}"] == 0
    for name in ("encoder.embedding.weight", "encoder.encoder.blocks.1.attention.qkv.weight", "head.weight"):
        assert decay[f"network.{name}"] == 0.3


def test_attention_is_that_of_the_network_it_has(build: Callable[..., Any], batch: ImageBatch) -> None:
    found = build(ViT).eval().patch_attention(batch.image[:3])
    assert [weights.shape for weights in found.layers] == 2 * [(3, 2, 17, 17)]
    backbone = partial(VisionTransformer, patch_size=4, dim=8, heads=2, layers=1)
    tuned = build(TransferClassifier, backbone=backbone).eval().patch_attention(batch.image[:3])
    assert tuned.grid == (2, 2)
    assert build(ViT, network=partial(ConvClassifier, channels=(4,))).patch_attention(batch.image) is None


def test_a_trained_one_is_the_backbone_of_another_classifier(
    build: Callable[..., Any], make_trainer: Callable[..., Any], batch: ImageBatch, tmp_path: Any
) -> None:
    model = build(ViT).eval()
    path = tmp_path / "vit.pt"
    torch.save(model.state_dict(), path)
    backbone = partial(VisionTransformer, patch_size=2, dim=32, heads=2, layers=2)
    torch.manual_seed(1)
    tuned = TransferClassifier((1, 8, 8), 3, backbone=backbone, weights=str(path)).eval()
    torch.testing.assert_close(tuned.embed(batch.image), model.embed(batch.image))
    assert len(tuned.blocks) == 3
