"""Networks: plain modules that know tensors and sizes, and nothing of Lightning."""

from networks.activations import Activation, activation_class
from networks.batch_norm import CPUSyncBatchNorm
from networks.classifiers import ConvClassifier
from networks.convolutional import ConvDecoder, ConvEncoder
from networks.corruption import Corruption, GaussianCorruption, MaskingCorruption, SaltAndPepperCorruption
from networks.features import DigitFeatures, FeatureExtractor, InceptionFeatures, RawFeatures
from networks.likelihoods import Bernoulli, Gaussian, Likelihood
from networks.mlp import MLPDecoder, MLPEncoder
from networks.noise import FreshNoise, KeyedNoise, Noise
from networks.shapes import ImageShape

__all__ = [
    "Activation",
    "Bernoulli",
    "CPUSyncBatchNorm",
    "ConvClassifier",
    "ConvDecoder",
    "ConvEncoder",
    "Corruption",
    "DigitFeatures",
    "FeatureExtractor",
    "FreshNoise",
    "Gaussian",
    "GaussianCorruption",
    "ImageShape",
    "InceptionFeatures",
    "KeyedNoise",
    "Likelihood",
    "MLPDecoder",
    "MLPEncoder",
    "MaskingCorruption",
    "Noise",
    "RawFeatures",
    "SaltAndPepperCorruption",
    "activation_class",
]
