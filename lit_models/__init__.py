"""Techniques: one LightningModule each. Importing the package registers their names for the CLI."""

from lit_models.alternating import AlternatingTechnique
from lit_models.autoencoder import Autoencoder
from lit_models.base import Technique
from lit_models.cdan import CDAN
from lit_models.classifier import Classifier
from lit_models.dan import DAN
from lit_models.dann import DANN
from lit_models.dbn import DeepBeliefNetwork
from lit_models.deep_coral import DeepCORAL
from lit_models.denoising_autoencoder import DenoisingAutoencoder
from lit_models.drcn import DRCN
from lit_models.dsn import DSN
from lit_models.gan import GAN
from lit_models.iwae import IWAE
from lit_models.language_model import LanguageModel
from lit_models.masked_autoencoder import MaskedAutoencoder
from lit_models.masked_language_model import MaskedLanguageModel
from lit_models.mcd import MCD
from lit_models.pretrained_texts import tokenizer_of
from lit_models.schedules import InverseDecay, InverseSquareRoot, WarmupCosine
from lit_models.seq2seq import Seq2Seq
from lit_models.sequence_classifier import SequenceClassifier
from lit_models.single_loss import SingleLossTechnique
from lit_models.source_only import SourceOnly, TargetOnly
from lit_models.sparse_autoencoder import SparseAutoencoder
from lit_models.stacked import StackedClassifier
from lit_models.token_technique import TokenTechnique
from lit_models.transfer import TransferClassifier
from lit_models.vae import VAE
from lit_models.vision_transformer import ViT

__all__ = [
    "CDAN",
    "DAN",
    "DANN",
    "DRCN",
    "DSN",
    "GAN",
    "IWAE",
    "MCD",
    "VAE",
    "AlternatingTechnique",
    "Autoencoder",
    "Classifier",
    "DeepBeliefNetwork",
    "DeepCORAL",
    "DenoisingAutoencoder",
    "InverseDecay",
    "InverseSquareRoot",
    "LanguageModel",
    "MaskedAutoencoder",
    "MaskedLanguageModel",
    "Seq2Seq",
    "SequenceClassifier",
    "SingleLossTechnique",
    "SourceOnly",
    "SparseAutoencoder",
    "StackedClassifier",
    "TargetOnly",
    "Technique",
    "TokenTechnique",
    "TransferClassifier",
    "ViT",
    "WarmupCosine",
    "tokenizer_of",
]
