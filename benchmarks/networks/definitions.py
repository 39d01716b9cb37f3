"""The list of networks: torchvision's, timm's, and the few that neither has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from codesign.errors import MissingDependencyError

Kind = Literal["cnn", "attention", "mlp"]


@dataclass(frozen=True)
class Network:
    """A network by name; ``shape`` is its input's, with the batch; ``source`` where it is from."""

    name: str
    source: Literal["torchvision", "timm", "own"]
    shape: tuple[int, ...]
    build: Callable[[], Any]
    kind: Kind = "cnn"


def _torchvision(
    name: str, size: int, kind: Kind = "cnn", title: str = "", **options: Any
) -> Network:
    def build() -> Any:
        models: Any = _library("torchvision").models
        group = models.segmentation if hasattr(models.segmentation, name) else models
        return getattr(group, name)(weights=None, **options)

    return Network(title or name, "torchvision", (1, 3, size, size), build, kind)


def _timm(name: str, size: int, kind: Kind = "cnn", **options: Any) -> Network:
    def build() -> Any:
        _library("torchvision")
        return _library("timm").create_model(name, pretrained=False, **options)

    return Network(name, "timm", (1, 3, size, size), build, kind)


def _own(
    name: str, shape: tuple[int, ...], build: Callable[[Any], Any], kind: Kind = "cnn"
) -> Network:
    def made() -> Any:
        from networks import small

        return build(small)

    return Network(name, "own", shape, made, kind)


def _library(name: str) -> Any:
    """torchvision or timm; torchvision's compiled operators are not needed and may be absent.

    The package index has torchvision built for CUDA, and beside a torch without CUDA its import
    stops where it declares shapes of two operators that were not loaded; declaring them is enough.
    """
    import importlib
    import logging

    import torch

    logging.getLogger("torchvision").setLevel(logging.ERROR)
    for operator in ("nms", "qnms"):
        if name == "torchvision" and not hasattr(torch.ops.torchvision, operator):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", signature)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"the network zoo needs {name}: pip install 'codesign[zoo]'"
        ) from error


_ViT = partial(_timm, kind="attention", size=96, img_size=96)

NETWORKS: tuple[Network, ...] = (
    _torchvision("resnet18", 224),
    _torchvision("resnet34", 96),
    _torchvision("resnet50", 224),
    _torchvision("resnext50_32x4d", 96),
    _torchvision("wide_resnet50_2", 64),
    _timm("resnetv2_50", 96),
    _timm("seresnet18", 96),
    _timm("res2net50_26w_4s", 96),
    _torchvision("vgg11", 224, num_classes=100),
    _timm("vgg16_bn", 224, num_classes=100),
    _torchvision("densenet121", 96),
    _torchvision("squeezenet1_0", 96),
    _torchvision("squeezenet1_1", 224),
    _torchvision("googlenet", 96, aux_logits=False, init_weights=False),
    _torchvision("inception_v3", 128, aux_logits=False, init_weights=False),
    _timm("xception41", 96),
    _timm("mobilenetv1_100", 96),
    _torchvision("mobilenet_v2", 224),
    _torchvision("mobilenet_v3_small", 96),
    _torchvision("mobilenet_v3_large", 96),
    _torchvision("mnasnet0_5", 96),
    _torchvision("mnasnet1_0", 96),
    _torchvision("efficientnet_b0", 96),
    _timm("efficientnet_lite0", 96),
    _torchvision("shufflenet_v2_x0_5", 96),
    _torchvision("shufflenet_v2_x1_0", 96),
    _timm("ghostnet_100", 96),
    _torchvision("regnet_x_400mf", 96),
    _torchvision("regnet_y_400mf", 96),
    _timm("repvgg_a0", 96),
    _torchvision("convnext_tiny", 64),
    _timm("convnextv2_atto", 96),
    _timm("fbnetc_100", 96),
    _timm("hrnet_w18_small", 96),
    _timm("dla34", 96),
    _timm("darknet53", 96),
    _timm("ese_vovnet19b_dw", 96),
    _timm("rexnet_100", 96),
    _timm("lcnet_050", 96),
    _torchvision("lraspp_mobilenet_v3_large", 96, weights_backbone=None, num_classes=4),
    _torchvision("deeplabv3_mobilenet_v3_large", 96, weights_backbone=None, num_classes=4),
    _ViT("vit_tiny_patch16_224"),
    _ViT("deit_tiny_distilled_patch16_224"),
    _timm("swin_tiny_patch4_window7_224", 112, "attention", img_size=112),
    _timm("mobilevit_xxs", 64, "attention"),
    _timm("mixer_s32_224", 96, "mlp", img_size=96),
    _timm("resmlp_12_224", 96, "mlp", img_size=96),
    _own("unet", (1, 3, 64, 64), lambda m: m.UNet()),
    _own("unet_nearest", (1, 3, 64, 64), lambda m: m.UNet(transposed=False)),
    _own("yolo_tiny", (1, 3, 96, 96), lambda m: m.TinyYolo()),
    _own("yolo_anchor_free", (1, 3, 96, 96), lambda m: m.AnchorFreeYolo()),
    _own("ssd", (1, 3, 96, 96), lambda m: m.Ssd()),
    _own("bert_encoder", (1, 32), lambda m: m.BertEncoder(), "attention"),
    _own("conv_autoencoder", (1, 3, 64, 64), lambda m: m.ConvAutoencoder()),
    _own("ds_cnn", (1, 1, 49, 10), lambda m: m.ds_cnn()),
    _own("resnet8", (1, 3, 32, 32), lambda m: m.ResNet8()),
    _own("visual_wake_words", (1, 3, 96, 96), lambda m: m.visual_wake_words()),
    _own("anomaly_detector", (1, 640), lambda m: m.anomaly_detector(), "mlp"),
)

SMALL_IMAGES: tuple[Network, ...] = (
    _torchvision("resnet18", 64, title="resnet18_64"),
    _torchvision("mobilenet_v2", 64, title="mobilenet_v2_64"),
)
"""What is compiled for hundreds of configurations."""


def named(name: str) -> Network:
    """The network of that name, of both lists."""
    return next(network for network in (*NETWORKS, *SMALL_IMAGES) if network.name == name)
