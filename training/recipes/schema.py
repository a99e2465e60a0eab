"""What shapes a training run: a recipe, one TOML file per experiment.

`training/recipes/` holds one for each published experiment; its comments say what is inferred and
what no paper states. A recipe is read once, checked in full and trusted afterwards: an unknown key
is an error that names the nearest known one.

    schema = "tilefix-recipe/1"
    name, about
    [model]         which, its options, what its parts start from
    [data]          which data set, its splits, how samples are changed
    [optimizer] [schedule] [run]
    [[loss]]        terms by name (`training.losses.total`); none for lite, which has its own
    [lite]          what only lite's training knows
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from training.losses.total import AnyTerm

SCHEMA = "tilefix-recipe/1"
LITE = "lite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """Which model, and what its parts start from."""

    name: str
    options: dict[str, Any]  # fields of the model's options class
    pretrained: tuple[str, ...] = ()  # parts that start from weights of others, given by --weights


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSection:
    """Which samples, and what is done to them."""

    set: str  # a name of `training.datasets.registry`
    train: str = "train"
    validate: str = "val"
    test: str = "test"
    augmentation: str = "none"
    whole_pixel_boxes: bool = False  # the official loaders truncate boxes to whole pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSection:
    """How a step is made of a gradient."""

    name: Literal["rmsprop", "adam", "adamw"]
    learning_rate: float
    weight_decay: float = 0.0
    backbone_learning_rate: float | None = None  # None: the same; only for models with a `backbone`
    clip_norm: float | None = None  # longest gradient; None: not clipped


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSection:
    """How the learning rate goes over a run.

    "constant"; "step": times `factor` after every `every_epochs`; "cosine": to `last_share` of it
    at the end. A linear warm-up over `warmup_steps` comes first, if any.
    """

    name: Literal["constant", "step", "cosine"] = "constant"
    every_epochs: int = 10
    factor: float = 0.1
    last_share: float = 0.02
    warmup_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """How long, how much at once, and how exactly."""

    epochs: int
    batch: int  # samples of one optimiser step, over all processes
    accumulate: int = 1  # parts that a process cuts its share of a batch into
    seed: int = 13
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    ema_decay: float | None = None  # per step; None: no averaged weights
    save_every_s: float = 120.0
    workers: int = 4  # threads that read samples


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteSection:
    """What only `lite` is trained with; see `training.batches.lite`."""

    window_px: int = 640  # side of the rendered windows; the model's own is that of its bundle
    prior_share: float = 0.5  # of clicks that get a prior
    swap_share: float = 0.2  # of clicks looked for in another sample's window
    freeze_backbone: bool = True  # from features cached by `tilefix datasets cache`
    turn_pictures: bool = False
    preload: bool = False
    distillation: float = 0.0  # weight of the term that a teacher gives (--teacher); 0: no teacher
    labels: float = 1.0  # weight of the terms that the labels give
    agreement: float = 0.0  # with --qat: weight of the distance from its teacher's vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole recipe."""

    schema: str
    name: str
    about: str  # one line: which experiment of which paper
    model: ModelSection
    data: DataSection
    optimizer: OptimizerSection
    schedule: ScheduleSection
    run: RunSection
    loss: tuple[AnyTerm, ...] = ()
    lite: LiteSection | None = None
    needs_checkpoint: bool = False  # starts from a trained checkpoint (few-shot): --init
