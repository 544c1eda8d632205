"""Networks: plain modules that know tensors and sizes, and nothing of Lightning."""

from networks.activations import Activation, activation_class
from networks.adversarial_mlp import MLPDiscriminator, MLPGenerator
from networks.attention import AttentionModule, MultiHeadAttention, recorded_attention
from networks.attention_rollout import HeadFusion, rollout
from networks.backbone import Backbone, FeatureCache
from networks.batch_norm import CPUSyncBatchNorm
from networks.blocks import Block, blocks_of
from networks.classifiers import ConvClassifier
from networks.convolutional import ConvDecoder, ConvEncoder
from networks.corruption import Corruption, GaussianCorruption, MaskingCorruption, SaltAndPepperCorruption
from networks.dcgan import DCGANDiscriminator, DCGANGenerator
from networks.decoding import Advance, State, beam_search, greedy
from networks.differentiable_augmentation import DifferentiableAugmentation
from networks.domain_batch_norm import DomainBatchNorm, at_domain, with_domain_statistics
from networks.domain_decoders import domain_decoder
from networks.domain_features import ConvFeatures, MLPFeatures, default_features, width_of
from networks.embedding import ScaledEmbedding, TokenEmbedding
from networks.features import DigitFeatures, FeatureExtractor, InceptionFeatures, RawFeatures
from networks.freezing import Freezable
from networks.gradient_reversal import GradientReversal, reverse_gradient
from networks.heads import MLPHead, domain_discriminator
from networks.interface import Input, Interface, class_input, data_input, token_input
from networks.likelihoods import Bernoulli, Gaussian, Likelihood
from networks.masked_decoder import MaskedDecoder
from networks.masked_recurrent import MaskedRecurrent
from networks.masked_transformer import MaskedTransformer
from networks.masking import PatchMask, at_places, kept_count, random_mask
from networks.mixing import CutMix, Mixed, Mixing, MixUp
from networks.mlp import MLPDecoder, MLPEncoder
from networks.moving_average import MovingAverage
from networks.noise import FreshNoise, KeyedNoise, Noise, SeededNoise
from networks.patch_attention import PatchAttention, patch_attention
from networks.patches import images, patch_grid, patches
from networks.pooling import mean_over_known
from networks.positions import Positions, RotaryPositions, grid_sinusoids, rotate, rotation, sinusoids
from networks.preparation import Preparation
from networks.pretrained import Pretrained
from networks.rbm import RBM, BinaryRBM, GaussianRBM
from networks.recurrent import RecurrentLM, RecurrentSeq2Seq
from networks.recurrent_decoders import RecurrentState
from networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from networks.shapes import ImageShape
from networks.stack import StackNetwork
from networks.stack_layers import AutoencoderLayer, DenoisingLayer, LayerStep, SparseLayer, StackLayer
from networks.text_classifier import Pooling, TextClassifier, TextEncoder, TokenEncoder
from networks.text_generation import generate, sample_next
from networks.token_masking import MaskedTokens, TokenMasking
from networks.tokens import BOS, EOS, MASK_NAME, PAD, SPECIAL_TOKENS, UNK
from networks.transfer import TransferNetwork
from networks.transformer import TransformerLM, TransformerSeq2Seq, TransformerState
from networks.transformer_layers import BlockOptions, TransformerDecoder, TransformerEncoder
from networks.vision_transformer import PatchEncoder, VisionTransformer

__all__ = [
    "BOS",
    "EOS",
    "MASK_NAME",
    "PAD",
    "RBM",
    "SPECIAL_TOKENS",
    "UNK",
    "Activation",
    "Advance",
    "AttentionModule",
    "AutoencoderLayer",
    "Backbone",
    "Bernoulli",
    "BinaryRBM",
    "Block",
    "BlockOptions",
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
    "Freezable",
    "FreshNoise",
    "Gaussian",
    "GaussianCorruption",
    "GaussianRBM",
    "GradientReversal",
    "HeadFusion",
    "ImageShape",
    "InceptionFeatures",
    "Input",
    "Interface",
    "KeyedNoise",
    "LayerStep",
    "Likelihood",
    "MLPDecoder",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPFeatures",
    "MLPGenerator",
    "MLPHead",
    "MaskedDecoder",
    "MaskedRecurrent",
    "MaskedTokens",
    "MaskedTransformer",
    "MaskingCorruption",
    "MixUp",
    "Mixed",
    "Mixing",
    "MovingAverage",
    "MultiHeadAttention",
    "Noise",
    "PatchAttention",
    "PatchEncoder",
    "PatchMask",
    "Pooling",
    "Positions",
    "Preparation",
    "Pretrained",
    "RawFeatures",
    "RecurrentLM",
    "RecurrentSeq2Seq",
    "RecurrentState",
    "ResidualDiscriminator",
    "ResidualGenerator",
    "RotaryPositions",
    "SaltAndPepperCorruption",
    "ScaledEmbedding",
    "SeededNoise",
    "SparseLayer",
    "StackLayer",
    "StackNetwork",
    "State",
    "TextClassifier",
    "TextEncoder",
    "TokenEmbedding",
    "TokenEncoder",
    "TokenMasking",
    "TransferNetwork",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerLM",
    "TransformerSeq2Seq",
    "TransformerState",
    "VisionTransformer",
    "activation_class",
    "at_domain",
    "at_places",
    "beam_search",
    "blocks_of",
    "class_input",
    "data_input",
    "default_features",
    "domain_decoder",
    "domain_discriminator",
    "generate",
    "greedy",
    "grid_sinusoids",
    "images",
    "kept_count",
    "mean_over_known",
    "patch_attention",
    "patch_grid",
    "patches",
    "random_mask",
    "recorded_attention",
    "reverse_gradient",
    "rollout",
    "rotate",
    "rotation",
    "sample_next",
    "sinusoids",
    "token_input",
    "width_of",
    "with_domain_statistics",
]
