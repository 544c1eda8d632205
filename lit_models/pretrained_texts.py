"""The masked language model of a run, for a model of texts to begin with."""

from pathlib import Path

from torch import nn

from lit_models.masked_language_model import MaskedLanguageModel
from lit_models.pretrained_runs import RUNS, checkpoint_of_run
from networks import Pretrained
from networks.pretrained import load_pretrained, read_file


def masked_language_model(weights: str, vocab_size: int) -> MaskedLanguageModel:
    """Build the model of a run again, with its weights.

    Args:
        weights: a checkpoint, the folder of a run, or its id.
        vocab_size: number of tokens of the data that it is to read.

    Raises:
        ValueError: if there is none, it is another technique's, or it has another number of tokens.
    """
    path = checkpoint_of(weights)
    if path is None:
        raise ValueError(
            f"weights is {weights!r}: there is no such file, and no run of that id in {RUNS}/*/, give the checkpoint "
            "of a MaskedLanguageModel"
        )
    content = read_file(path)
    settings = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
    kind = str(settings.get("_class_path", "")).rpartition(".")[2]
    if kind != MaskedLanguageModel.__name__:
        raise ValueError(f"weights is {weights!r}: {kind or 'it'} is no MaskedLanguageModel, give the run of one")
    try:
        model = MaskedLanguageModel.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"weights is {weights!r}: its network cannot be built again ({reason})") from None
    if model.mask_token != vocab_size:
        raise ValueError(
            f"weights is {weights!r}: it reads {model.mask_token} tokens and the data have {vocab_size}, set "
            "data.init_args.tokenizer to the tokenizer.json of its run"
        )
    return model


def checkpoint_of(weights: str) -> Path | None:
    """The checkpoint that a file, the folder of a run or its id stands for; None if there is none.

    Raises:
        ValueError: if several runs are meant, or the run has no checkpoint.
    """
    return Path(weights) if Path(weights).is_file() else checkpoint_of_run(weights)


def tokenizer_of(weights: str | None) -> Path | None:
    """The tokenizer that is kept with weights: that of their run; None if there is none.

    Raises:
        ValueError: if several runs are meant, or the run has no checkpoint.
    """
    path = None if weights is None else checkpoint_of(weights)
    return None if path is None else path.absolute().parent.parent / "tokenizer.json"


def take_over(network: nn.Module, trained: nn.Module, weights: str) -> None:
    """Give a network the weights of one that was trained.

    Raises:
        ValueError: if it is another network.
    """
    name = type(network).__name__
    if type(network) is not type(trained):
        raise ValueError(f"weights is {weights!r}: they are of a {type(trained).__name__}, and network is {name}")
    report = load_pretrained(network, name, Pretrained(weights, trained.state_dict()))
    if report.missing or report.unexpected:
        raise ValueError(
            f"weights is {weights!r}: they are not of this {name}: leave network out, which is then made as theirs"
        )
