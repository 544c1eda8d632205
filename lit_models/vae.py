"""The variational autoencoder."""

import math
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lit_models.base import (
    DecoderFactory,
    EncoderFactory,
    Images,
    OptimizerFactory,
    PretrainedPart,
    SchedulerFactory,
    TrainingImages,
    label_and_index,
)
from lit_models.single_loss import SingleLossTechnique
from metrics import ActiveUnits
from networks import (
    Bernoulli,
    ImageShape,
    Interface,
    KeyedNoise,
    Likelihood,
    MLPDecoder,
    MLPEncoder,
    Noise,
    data_input,
)
from objectives import free_bits, gaussian_kl, importance_weighted_bound, log_normal

_DECODES_AT_ONCE = 2048  # importance samples decoded together: enough to fill a core, small enough for its cache
_NLL_SEED = 2  # of the importance samples of test/nll


class VAETerms(NamedTuple):
    """Terms of the loss, each summed over an image or code and averaged over the batch, in nats."""

    total: Tensor
    reconstruction: Tensor
    kl: Tensor


class VAE(SingleLossTechnique):
    """Latent-variable model p(x | z) p(z) with an amortised Gaussian posterior q(z | x).

    The loss is -ELBO = E_q[-log p(x | z)] + KL(q(z | x) || p(z)), summed over pixels and latents
    and averaged over the batch. The options `beta`, `kl_warmup` and `free_bits` change the loss;
    `val/elbo`, `test/elbo` and `test/nll` are always the unmodified quantities.

    Sources: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014); Higgins et al.,
    "beta-VAE" (2017); Kingma et al. (2016) for free bits; Burda et al. (2016) for `test/nll`.

    Args:
        image_shape: (C, H, W); the CLI takes it from the data.
        latent_dim: dimensions of z.
        encoder: makes the encoder, whose output of width 2 * latent_dim is mu and logvar;
            `MLPEncoder` if not given.
        decoder: makes the decoder; its output is what `likelihood` takes. `MLPDecoder` if not given.
        likelihood: `Bernoulli` with dynamic binarisation if not given, or `Gaussian`.
        beta: weight of the KL; 1 for the ELBO.
        kl_warmup: training batches over which the KL's weight grows linearly from 0 to beta.
        free_bits: nats of KL in each latent dimension, as a mean over a process's batch, that cost nothing.
        nll_samples: importance samples for `test/nll`; 0 leaves it out.
        optimizer: see `SingleLossTechnique`.
        scheduler: see `SingleLossTechnique`.
        scheduler_interval: see `SingleLossTechnique`.
    """

    pretrained_part: ClassVar[PretrainedPart | None] = PretrainedPart("encoder")

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 20,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        likelihood: Likelihood | None = None,
        beta: float = 1.0,
        kl_warmup: int = 0,
        free_bits: float = 0.0,
        nll_samples: int = 1000,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__(optimizer, scheduler, scheduler_interval)
        if latent_dim < 1:
            raise ValueError(f"latent_dim is {latent_dim}: a code needs at least one dimension")
        weights = {"beta": beta, "kl_warmup": kl_warmup, "free_bits": free_bits, "nll_samples": nll_samples}
        for name, value in weights.items():
            if value < 0:
                raise ValueError(f"{name} is {value}: it cannot be negative")
        self.image_shape = shape = ImageShape(*image_shape)
        self.latent_dim = latent_dim
        self.encoder = (encoder or MLPEncoder)(shape, 2 * latent_dim)
        self.decoder = (decoder or MLPDecoder)(latent_dim, shape)
        self.likelihood = likelihood or Bernoulli()
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.nll_samples = nll_samples
        self.active_units = ActiveUnits(latent_dim)
        # the output that stands for the average training image; the decoder learns the deviation from it
        self.average: Tensor
        self.register_buffer("average", torch.zeros(*shape))

    def forward(self, image: Tensor) -> Tensor:
        """Reconstruct images from the posterior mean, (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.embed(image))

    def interface(self) -> Interface:
        """What `forward` takes and gives."""
        meaning = "expected image of the mean code"
        return Interface((data_input("image", self.image_shape),), "reconstruction", meaning)

    def on_fit_start(self) -> None:
        """Begin at the average training image, where the data can hand over its images.

        The paper of the importance-weighted autoencoder sets the biases of the output to it. On MNIST
        it saves the many epochs in which a decoder finds out which pixels are always black.
        """
        data = getattr(self.trainer, "datamodule", None)
        if self.batch_step == 0 and isinstance(data, TrainingImages):
            total, count = torch.zeros(self.average.shape), 0
            for images in data.training_images():
                total += images.sum(0)
                count += len(images)
            self.average.copy_(self.likelihood.output_for(total / count))

    def decoder_output(self, z: Tensor) -> Tensor:
        """What the likelihood takes, (B, D) -> (B, C, H, W)."""
        output: Tensor = self.decoder(z) + self.average
        return output

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of q(z | x), (B, C, H, W) -> mu (B, D) and logvar (B, D)."""
        mu, logvar = self.encoder(x).float().chunk(2, dim=1)
        return mu, logvar

    def embed(self, image: Tensor) -> Tensor:
        """Posterior means, (B, C, H, W) -> (B, D)."""
        return self.posterior(image)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Expected images of codes, (B, D) -> (B, C, H, W)."""
        return self.likelihood.mean(self.decoder_output(z))

    def reconstruct(self, image: Tensor) -> Tensor:
        """Reconstruct images from the posterior mean, in [0, 1]."""
        return self(image).float()  # type: ignore[no-any-return]

    def prior(self, n: int) -> Tensor:
        """Codes from the prior N(0, 1), (n, D)."""
        return torch.randn(n, self.latent_dim, device=self.device)

    def sample(self, n: int, label: int | None = None) -> Tensor:
        """Expected images of n codes from the prior, (n, C, H, W) in [0, 1].

        Raises:
            ValueError: if a label is given.
        """
        if label is not None:
            raise ValueError(f"label is {label}: {type(self).__name__} knows no classes, leave it out")
        return self.decode(self.prior(n)).float()

    def kl_weight(self) -> Tensor | float:
        """Weight of the KL: beta, approached linearly over the first `kl_warmup` training batches."""
        if not self.training or self.kl_warmup == 0:
            return self.beta
        return self.beta * (self.batch_step / self.kl_warmup).clamp(max=1)

    def loss(self, batch: Images) -> VAETerms:
        """Negative ELBO of a batch by one sample of z for each image."""
        noise = self.noise(batch)
        x = self.likelihood.observe(batch.image, batch.index, noise)
        mu, logvar = self.posterior(x)
        z = mu + torch.exp(0.5 * logvar) * noise.normal(self.latent_dim)
        reconstruction = self.likelihood.nll(self.decoder_output(z), x).mean()
        kl = gaussian_kl(mu, logvar)
        mean_kl = kl.sum(1).mean()
        penalty = free_bits(kl, self.free_bits) if self.free_bits else mean_kl
        return VAETerms(reconstruction + self.kl_weight() * penalty, reconstruction, mean_kl)

    def importance_samples(
        self, x: Tensor, mu: Tensor, logvar: Tensor, samples: int, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Draw from the posterior and weigh each draw by log p(x, z) - log q(z | x).

        Args:
            x: (B, C, H, W), the modelled variable.
            mu: (B, D), posterior means.
            logvar: (B, D), log posterior variances.
            samples: number of draws for each image, K.
            noise: source of the draws.

        Returns:
            Log weights and negative log likelihoods -log p(x | z), (B, K) each, in nats.
        """
        epsilon = noise.normal(samples, self.latent_dim)  # (B, K, D)
        mu, logvar = mu.unsqueeze(1), logvar.unsqueeze(1)  # (B, D) -> (B, 1, D)
        z = mu + torch.exp(0.5 * logvar) * epsilon
        output = self.decoder_output(z.flatten(0, 1))  # (B * K, D) -> (B * K, C, H, W)
        nll = self.likelihood.nll(output, x.repeat_interleave(samples, 0)).view(len(x), samples)
        prior = torch.zeros((), device=z.device)
        return log_normal(z, prior, prior) - log_normal(z, mu, logvar) - nll, nll

    def nll(self, x: Tensor, index: Tensor) -> Tensor:
        """Negative log likelihood of each image by `nll_samples` importance samples.

        Args:
            x: (B, C, H, W), the modelled variable.
            index: (B,), position of each image in its part; its samples are keyed on it.

        Returns:
            (B,), in nats.
        """
        images_at_once = max(1, _DECODES_AT_ONCE // self.nll_samples)
        bounds = []
        for start in range(0, len(x), images_at_once):
            part = x[start : start + images_at_once]
            noise = KeyedNoise(index[start : start + images_at_once], _NLL_SEED)
            log_weight, _ = self.importance_samples(part, *self.posterior(part), self.nll_samples, noise)
            bounds.append(importance_weighted_bound(log_weight))
        return -torch.cat(bounds)

    def validation_step(self, batch: Images, batch_idx: int) -> None:
        """Log the loss and the ELBO."""
        self._log_elbo("val", batch)

    def test_step(self, batch: Images, batch_idx: int) -> None:
        """Log the loss, the ELBO, the active units and the importance-sampled likelihood."""
        self._log_elbo("test", batch)
        x = self.likelihood.observe(batch.image, batch.index, self.noise(batch))
        self.active_units.update(self.posterior(x)[0])
        self.log("test/active_units", self.active_units)
        if self.nll_samples:
            self.log_means({"test/nll": self.nll(x, batch.index).mean()}, batch)

    def _log_elbo(self, stage: Literal["val", "test"], batch: Images) -> None:
        terms = self.loss(batch)
        self.log_terms(stage, terms, batch)
        elbo = -terms.reconstruction - terms.kl
        bits_per_dim = -elbo / (math.log(2) * batch.image[0].numel()) + self.likelihood.bits_offset
        self.log_means({f"{stage}/elbo": elbo, f"{stage}/bits_per_dim": bits_per_dim}, batch)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Posterior means of a batch, with the labels where known."""
        return {"latent": self.embed(batch.image), **label_and_index(batch)}
