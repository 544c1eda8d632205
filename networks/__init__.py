"""Networks: plain modules that know tensors and sizes, and nothing of Lightning."""

from networks.activations import Activation, activation_class
from networks.adversarial_mlp import MLPDiscriminator, MLPGenerator
from networks.backbone import Backbone, FeatureCache
from networks.batch_norm import CPUSyncBatchNorm
from networks.blocks import Block, blocks_of
from networks.classifiers import ConvClassifier
from networks.convolutional import ConvDecoder, ConvEncoder
from networks.corruption import Corruption, GaussianCorruption, MaskingCorruption, SaltAndPepperCorruption
from networks.dcgan import DCGANDiscriminator, DCGANGenerator
from networks.differentiable_augmentation import DifferentiableAugmentation
from networks.domain_batch_norm import DomainBatchNorm, at_domain, with_domain_statistics
from networks.domain_decoders import domain_decoder
from networks.domain_features import ConvFeatures, MLPFeatures, default_features, width_of
from networks.features import DigitFeatures, FeatureExtractor, InceptionFeatures, RawFeatures
from networks.gradient_reversal import GradientReversal, reverse_gradient
from networks.heads import MLPHead, domain_discriminator
from networks.likelihoods import Bernoulli, Gaussian, Likelihood
from networks.mixing import CutMix, Mixed, Mixing, MixUp
from networks.mlp import MLPDecoder, MLPEncoder
from networks.moving_average import MovingAverage
from networks.noise import FreshNoise, KeyedNoise, Noise, SeededNoise
from networks.preparation import Preparation
from networks.pretrained import Pretrained
from networks.rbm import RBM, BinaryRBM, GaussianRBM
from networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from networks.shapes import ImageShape
from networks.stack import StackNetwork
from networks.stack_layers import AutoencoderLayer, DenoisingLayer, LayerStep, SparseLayer, StackLayer
from networks.tokens import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from networks.transfer import TransferNetwork

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "RBM",
    "SPECIAL_TOKENS",
    "UNK",
    "Activation",
    "AutoencoderLayer",
    "Backbone",
    "Bernoulli",
    "BinaryRBM",
    "Block",
    "CPUSyncBatchNorm",
    "ConvClassifier",
    "ConvDecoder",
    "ConvEncoder",
    "ConvFeatures",
    "Corruption",
    "CutMix",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DenoisingLayer",
    "DifferentiableAugmentation",
    "DigitFeatures",
    "DomainBatchNorm",
    "FeatureCache",
    "FeatureExtractor",
    "FreshNoise",
    "Gaussian",
    "GaussianCorruption",
    "GaussianRBM",
    "GradientReversal",
    "ImageShape",
    "InceptionFeatures",
    "KeyedNoise",
    "LayerStep",
    "Likelihood",
    "MLPDecoder",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPFeatures",
    "MLPGenerator",
    "MLPHead",
    "MaskingCorruption",
    "MixUp",
    "Mixed",
    "Mixing",
    "MovingAverage",
    "Noise",
    "Preparation",
    "Pretrained",
    "RawFeatures",
    "ResidualDiscriminator",
    "ResidualGenerator",
    "SaltAndPepperCorruption",
    "SeededNoise",
    "SparseLayer",
    "StackLayer",
    "StackNetwork",
    "TransferNetwork",
    "activation_class",
    "at_domain",
    "blocks_of",
    "default_features",
    "domain_decoder",
    "domain_discriminator",
    "reverse_gradient",
    "width_of",
    "with_domain_statistics",
]
