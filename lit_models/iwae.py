"""The importance-weighted autoencoder."""

from typing import Literal

from lit_models.base import DecoderFactory, EncoderFactory, Images, OptimizerFactory, SchedulerFactory
from lit_models.vae import VAE, VAETerms
from networks import Likelihood
from objectives import gaussian_kl, importance_weighted_bound


class IWAE(VAE):
    """VAE trained on the tighter bound from several importance samples.

    The loss is -log (1/K) sum_k p(x, z_k) / q(z_k | x); at K = 1 it is the VAE's, with the KL
    estimated by the sample instead of in closed form.

    Source: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016).

    Args:
        image_shape: see `VAE`.
        latent_dim: see `VAE`.
        samples: importance samples for each image in training, K.
        encoder: see `VAE`.
        decoder: see `VAE`.
        likelihood: see `VAE`.
        nll_samples: see `VAE`.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 20,
        samples: int = 5,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        likelihood: Likelihood | None = None,
        nll_samples: int = 1000,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(
            image_shape,
            latent_dim,
            encoder,
            decoder,
            likelihood,
            nll_samples=nll_samples,
            optimizer=optimizer,
            scheduler=scheduler,
            scheduler_interval=scheduler_interval,
        )
        if samples < 1:
            raise ValueError(f"samples is {samples}: the bound needs at least one importance sample")
        self.samples = samples

    def loss(self, batch: Images) -> VAETerms:
        """Importance-weighted bound of a batch; reconstruction and KL are those of the plain ELBO."""
        noise = self.noise(batch)
        x = self.likelihood.observe(batch.image, batch.index, noise)
        mu, logvar = self.posterior(x)
        log_weight, nll = self.importance_samples(x, mu, logvar, self.samples, noise)
        kl = gaussian_kl(mu, logvar).sum(1)
        return VAETerms(-importance_weighted_bound(log_weight).mean(), nll.mean(), kl.mean())
