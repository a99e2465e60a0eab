"""Which interior values of each model are tapped: backbone stages, necks, fused maps, head.

The paths are those inside the graph modules of `lite_graphs` and `published_graphs`, which hold
their model as `model`.
"""

from __future__ import annotations

from edge.bundle import ENCODER, LOCALIZER
from export.taps import Tap
from training.models import Model
from training.models.attengeo import AttenGeo
from training.models.detgeo_ports import PortedDetGeo
from training.models.joint_attention import JointAttentionModel
from training.models.lite import Lite
from training.models.mogeo import MOGeo
from training.models.ocgnet import OCGNet
from training.models.resnet import ResNet18
from training.models.trogeo import TROGeo

Places = list[tuple[str, str]]  # name of a tap, path of the module whose answer it is
# A stage of Darknet ends in a sum, which is what the next convolution is given.
DARKNET_STAGES = {"stage_2": 5, "stage_4": 12, "stage_8": 37, "stage_16": 62, "stage_32": 75}
SWIN_STAGES = {"stage_4": 1, "stage_8": 3, "stage_16": 5, "stage_32": 7}


def taps_of(model: Model) -> tuple[Tap, ...]:
    """The taps of both graphs of a model, in the order of the computation."""
    if isinstance(model, Lite):
        reference, query = _lite(model)
        return (*_taps(ENCODER, reference), *_taps(LOCALIZER, query))
    encoder = _reference(model)
    localizer = _taps(LOCALIZER, _query(model))
    if isinstance(model, JointAttentionModel):
        localizer += _joint(model)
    return (*encoder, *localizer)


def _lite(model: Lite) -> tuple[Places, Places]:
    o = model.options
    return (
        [
            *_lite_backbone(model, 32),
            *_neck("reference_neck", o.reference_depth),
            ("embedding", "reference_embedding"),
        ],
        [
            *_lite_backbone(model, 16),
            *_neck("query_neck", o.query_depth),
            ("query_map", "query_embedding"),
        ],
    )


def _lite_backbone(model: Lite, deepest: int) -> Places:
    if model.options.backbone != "efficientnet_lite0":
        return []
    blocks = {2: 0, 4: 2, 8: 4, 16: 10, 32: 15}  # stride -> the last block of that stride
    return [(f"stage_{s}", f"backbone._blocks.{i}") for s, i in blocks.items() if s <= deepest]


def _neck(name: str, depth: int) -> Places:
    blocks = [(f"neck_{i + 1}", f"{name}.blocks.{i}") for i in range(depth)]
    return [("neck_reduced", f"{name}.bn"), *blocks]


def _reference(model: Model) -> tuple[Tap, ...]:
    """Of the encoder of a published model."""
    if isinstance(model, AttenGeo):
        return _taps(ENCODER, _convnext())
    if isinstance(model, TROGeo):
        return _taps(ENCODER, [*_swin(), ("tokens_in", "cross_attention.proj_in")])
    mapping = "reference_mapping" if isinstance(model, MOGeo) else "reference_mapping_visu"
    stages = tuple(
        Tap(name, ENCODER, f"model.reference_darknet.module_list.{index}", of_input=True)
        for name, index in DARKNET_STAGES.items()
    )
    neck: Places = [
        ("neck_32", "reference_darknet.module_list.79"),
        ("neck_16", "reference_darknet"),
    ]
    if not isinstance(model, PortedDetGeo):  # whose mapped reference is the graph's output
        neck.append(("mapped", mapping))
    return (*stages, *_taps(ENCODER, neck))


def _query(model: Model) -> Places:
    """Of the query branch of a published model, up to its vectors or map."""
    if isinstance(model, AttenGeo):
        drawn: Places = [("click_fusion", "click_fusion")]
        return [*drawn, *_convnext(), ("query_map", "query_projection")]
    if isinstance(model, TROGeo):
        return [("click_fusion", "combine_clickptns_conv"), *_swin()]
    if isinstance(model, MOGeo):
        if model.options.mope:
            return [*_resnet(model.query_resnet), ("mope", "mope.block")]
        ends = ("click_fusion", "click_fusion"), ("query_map", "query_mapping")
        return [ends[0], *_resnet(model.query_resnet), ends[1]]
    fusion = "combine_clickptns_conv1" if isinstance(model, OCGNet) else "combine_clickptns_conv"
    backbone = model.query_resnet
    stages = _resnet(backbone) if isinstance(backbone, ResNet18) else _convnext_tiny()
    places = [("click_fusion", fusion), *stages, ("query_map", "query_mapping_visu")]
    if isinstance(model, OCGNet) and model.options.cross_attention:
        places.append(("attended", "queryreferencefusion"))
    if isinstance(model, OCGNet) and model.options.location_enhancement:
        places.append(("location_gate", "combine_clickptns_conv2"))
    return places


def _joint(model: JointAttentionModel) -> tuple[Tap, ...]:
    """Of the fusion and the head, which a cosine model has inside TileAttention."""
    inner: Places = []
    head = "head" if isinstance(model, AttenGeo) else "fcn_out"
    if isinstance(model, (AttenGeo, PortedDetGeo)):
        if model.cvcam is not None:
            k = model.options.iterations - 1
            inner += [
                ("cvcam_query", f"cvcam.query_side.{k}"),
                ("cvcam_reference", f"cvcam.reference_side.{k}"),
                ("cvcam", "cvcam"),
            ]
        if model.mhsam is not None:
            inner += [(f"mhsam_{s}", f"mhsam.heads.{i}") for i, s in enumerate((1, 3, 5))]
    else:
        inner.append(("perceived_change", "cross_attention.proj_out"))
    return (
        *_taps(LOCALIZER, inner),
        Tap("fused", LOCALIZER, f"model.{head}", of_input=True),
        Tap("confidence", LOCALIZER, "confidence"),
        Tap("offsets", LOCALIZER, "offsets"),
    )


def _resnet(resnet: ResNet18) -> Places:
    layers = [f"layer{i + 1}" for i in range(resnet.stages)]
    return [(name, f"query_resnet.base_model.{name}") for name in layers]


def _convnext_tiny() -> Places:
    return [(f"features_{i}", f"query_resnet.features.{i}") for i in (0, 1, 3, 5, 7)]


def _convnext() -> Places:
    stages = [(f"stage_{4 * 2**i}", f"backbone.stages.{i}") for i in range(4)]
    return [("stem", "backbone.stem"), *stages]


def _swin() -> Places:
    return [(name, f"query_model.model.features.{index}") for name, index in SWIN_STAGES.items()]


def _taps(graph: str, places: Places) -> tuple[Tap, ...]:
    return tuple(Tap(name, graph, f"model.{path}") for name, path in places)
