"""Techniques: one LightningModule each. Importing the package registers their names for the CLI."""

from lit_models.autoencoder import Autoencoder, DenoisingAutoencoder, SparseAutoencoder
from lit_models.base import Technique
from lit_models.schedules import WarmupCosine
from lit_models.vae import IWAE, VAE

__all__ = ["IWAE", "VAE", "Autoencoder", "DenoisingAutoencoder", "SparseAutoencoder", "Technique", "WarmupCosine"]
