from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Adam

import cli
from datamodules import LabelledTextBatch, LabelledTextFile, PythonDocs
from lit_models import MaskedLanguageModel, SequenceClassifier
from networks import PAD, MaskedRecurrent, MaskedTransformer, TransformerLM

TINY = {"dim": 16, "heads": 2, "layers": 2}
NETWORKS = {
    "transformer": partial(MaskedTransformer, **TINY),  # type: ignore[arg-type]
    "recurrent": partial(MaskedRecurrent, dim=16, hidden=12),
}
TINY_FLAGS = [f"--model.init_args.network.init_args.{name}={value}" for name, value in TINY.items()]
NETWORK_FLAGS = ["--model.init_args.network=MaskedTransformer", *TINY_FLAGS]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines whose class is told by what stands in their midst."""
    path = tmp_path_factory.mktemp("texts") / "texts.tsv"
    kinds = {"cat": "the {} cat sleeps", "bird": "this {} bird sings"}
    path.write_text("\n".join(f"{label}\t{kinds[label].format(n)}" for n in range(100) for label in kinds) + "\n")
    return path


@pytest.fixture(scope="module")
def pretrained(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a masked language model."""
    words = ["--model=MaskedLanguageModel", *NETWORK_FLAGS, "--data=LabelledTextFile", f"--data.init_args.path={texts}"]
    words += ["--data.init_args.context=20", "--trainer.max_epochs=1", "--wandb.mode=disabled"]
    folder = tmp_path_factory.mktemp("runs")
    run: Path = cli.main(["fit", *words, f"--run.dir={folder}", "--run.id=masked"]).run.path
    return run


def data_of(texts: Path, **arguments: Any) -> LabelledTextFile:
    return LabelledTextFile(path=str(texts), **{"context": 20, "batch_size": 32, **arguments})


def build(vocab_size: int = 30, **arguments: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    given = {"context": 20, "network": NETWORKS["transformer"], "optimizer": partial(Adam, lr=3e-3)}
    return SequenceClassifier(vocab_size, 2, **{**given, **arguments})


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_it_learns(network: str, pooling: Any, texts: Path, make_trainer: Callable[..., Any]) -> None:
    data = data_of(texts)
    model, trainer = build(data.vocab_size, network=NETWORKS[network], pooling=pooling), make_trainer(max_epochs=8)
    trainer.fit(model, data)
    found = trainer.test(model, data, verbose=False)[0]
    assert found["test/accuracy"] > 0.9
    assert set(found) == {"test/total", "test/accuracy"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_padding_changes_nothing(network: str, pooling: Any) -> None:
    model = build(network=NETWORKS[network], pooling=pooling).eval()
    token = torch.randint(4, 30, (3, 9))
    padded = torch.cat((token, torch.full((3, 5), PAD)), 1)
    torch.testing.assert_close(model(padded), model(token))
    torch.testing.assert_close(model(padded[1:2]), model(token)[1:2])


def test_the_test_gives_probabilities_and_predictions_their_codes() -> None:
    model = build().eval()
    batch = LabelledTextBatch(torch.randint(4, 30, (5, 9)), torch.tensor([0, 1, 1, 0, 1]), torch.arange(5))
    model.log_terms = lambda stage, terms, batch: None  # type: ignore[method-assign]
    said, predicted = model.test_step(batch, 0), model.predict_step(batch, 0)
    torch.testing.assert_close(said["probability"], model(batch.token).softmax(1))
    assert torch.equal(predicted["predicted"], said["probability"].argmax(1))
    torch.testing.assert_close(predicted["latent"], model.embed(batch.token))
    assert set(said) == {"probability", "label", "index"}


def test_the_weights_are_those_of_the_run(pretrained: Path) -> None:
    checkpoint = pretrained / "checkpoints" / "best.ckpt"
    trained = MaskedLanguageModel.load_from_checkpoint(checkpoint, weights_only=True)
    for weights in (pretrained, checkpoint):
        for network in (None, NETWORKS["transformer"]):
            model = build(trained.mask_token, weights=str(weights), network=network)
            token = torch.randint(4, 20, (2, 9))
            expected = trained.network.encode(token).mean(1)
            torch.testing.assert_close(model.embed(token), expected)
    assert not torch.equal(build(trained.mask_token).embed(token), expected)


def test_every_parameter_is_trained_once_at_the_rate_of_its_block() -> None:
    model = build(backbone_rate=0.5, layer_decay=0.1)
    groups = model.make_optimizer().param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    names = [group["name"] for group in groups]
    assert names[-1] == "head"
    assert [group["lr"] / 3e-3 for group in groups[-3:]] == pytest.approx([0.05, 0.5, 1.0])
    assert names[-3:-1] == ["encoder.blocks.0", "encoder.blocks.1"]


def test_frozen_blocks_stay_as_they_were(texts: Path, make_trainer: Callable[..., Any]) -> None:
    data = data_of(texts)
    model = build(data.vocab_size, weights=None)
    model.train_blocks(1)
    before = {name: value.clone() for name, value in model.named_parameters()}
    make_trainer(max_epochs=1).fit(model, data)
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all(".encoder.blocks.1." in name or "head" in name or ".encoder.norm" in name for name in changed)


def test_commands_go_on_with_a_run_and_its_tokens(pretrained: Path, texts: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.tsv"  # which would make another vocabulary
    fewer.write_text("".join(f"{line}\n" for line in texts.read_text().splitlines()[:60]).replace("9", "8"))
    place = [f"--run.dir={tmp_path}", "--run.id=one", "--wandb.mode=disabled"]
    words = ["--model=SequenceClassifier", f"--model.init_args.weights={pretrained}", "--data=LabelledTextFile"]
    words += [f"--data.init_args.path={fewer}", "--data.init_args.context=20", "--trainer.max_epochs=2"]
    frozen = ["--unfreezing.strategy=linear_probe_then_finetune", "--unfreezing.probe_epochs=1"]
    fitted = cli.main(["fit", *words, *frozen, *place])
    assert (fitted.run.path / "tokenizer.json").read_text() == (pretrained / "tokenizer.json").read_text()
    assert fitted.datamodule.make_vocabulary().get_vocab() != fitted.datamodule.vocabulary.get_vocab()
    tested = cli.main(["test", *place])
    assert "test/accuracy" in tested.trainer.callback_metrics
    assert (fitted.run.path / "media" / "test_confusion.png").exists()
    assert (cli.main(["predict", *place]).run.path / "latents.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"network": TransformerLM}, "network is TransformerLM, which cannot encode tokens: choose one with encode"),
        ({"dropout": 1.0}, "dropout is 1.0: it is a share"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1: it is a share"),
        ({"backbone_rate": 0.0}, "backbone_rate is 0.0: choose more than 0"),
        ({"layer_decay": 1.5}, "layer_decay is 1.5: it is a factor"),
        ({"weights": "nothing"}, "weights is 'nothing': there is no such file, and no run of that id in runs"),
    ],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        build(**arguments)
    assert "\n" not in str(error.value)


def test_one_class_is_no_classification() -> None:
    with pytest.raises(ValueError, match="num_classes is 1: a classifier needs data with labels of two"):
        SequenceClassifier(30, 1)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"vocab_size": 30}, "it reads {own} tokens and the data have 30, set data.init_args.tokenizer to the"),
        ({"network": None, "context": 21}, "context of the data is 21: weights '.*' read 20 tokens at most, set"),
        ({"network": None, "context": None}, "context of the data is None: weights '.*' read 20 tokens at most"),
        ({"network": NETWORKS["recurrent"]}, "they are of a MaskedTransformer, and network is MaskedRecurrent"),
        ({"network": partial(MaskedTransformer, dim=32)}, "they are not of this MaskedTransformer"),
        ({"network": partial(MaskedTransformer, **{**TINY, "layers": 1})}, "they are not of this MaskedTransformer"),
    ],
)
def test_weights_that_do_not_belong_here_are_one_line(
    arguments: dict[str, Any], line: str, pretrained: Path, texts: Path
) -> None:
    own = data_of(texts).vocab_size
    with pytest.raises(ValueError, match=line.format(own=own)) as error:
        build(**{"vocab_size": own, "weights": str(pretrained), **arguments})
    assert "\n" not in str(error.value)


def test_another_technique_is_no_masked_language_model(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "hyper_parameters": {"_class_path": "x.VAE"}}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a.ckpt': VAE is no MaskedLanguageModel, give the run of one"):
        build(weights=str(tmp_path / "a.ckpt"))


def test_data_without_classes_are_said_to_be_so(errors_of: Callable[[list[str]], list[str]]) -> None:
    (said,) = errors_of(["fit", "--model=SequenceClassifier", f"--data={PythonDocs.__name__}"])
    assert said.startswith("error: data: PythonDocs has no num_classes, which SequenceClassifier needs: choose other")
