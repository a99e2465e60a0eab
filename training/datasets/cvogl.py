"""CVOGL (DetGeo, TGRS 2023): a click in a drone or ground picture, a box in a satellite picture.

On disk, below the folder that the archive unpacks to:

    CVOGL_DroneAerial/                        and CVOGL_SVI/, with the same layout
        CVOGL_DroneAerial_{train,val,test}.pth   torch-saved lists of 8-tuples
        query/<id>_<int>_<int>.jpg               256 x 256 (SVI: 512 wide, 256 high)
        satellite/<E>_<N>_<metres>_<EPSG>.jpg    1024 x 1024

Fields of a tuple:

    0  int id
    1  file name in query/
    2  file name in satellite/; it states the picture's centre (easting, northing), the ground
       length of its side, and the EPSG code of the UTM zone
    3  click (x, y) in a picture of twice the size; not used
    4  click (x, y) in the query as stored, whole pixels
    5  box [x1, y1, x2, y2] in satellite pixels, floats; the published loader truncates them
    6  eight floats: the corners (x, y) of the oriented object; its bounding box is field 5
    7  class, such as "building_church"

CVOGL-fewshot (OCGNet, JSTARS 2025) adds two lists to the folder of CVOGL_DroneAerial; their names
are not stated anywhere, so a file is taken for one by "few" and the split in its name. G2D
(AttenGeo, arXiv 2510.27139) is not public: it is read as a folder `G2D` of this layout, ground
pictures (512 x 256) in query/ and drone references (1024 x 1024) in satellite/, without positions.
CVOGL-Seg's masks are described in `training.datasets.cvogl_masks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError, GeoreferenceError
from edge.geodesy import AffineGeometry, cvogl_geometry
from training.datasets.cvogl_masks import MaskFolder
from training.datasets.cvogl_records import CvoglRecord, read_records
from training.datasets.pictures import describe_folder, read_picture
from training.datasets.sample import PairSample, unknown_places

WINDOW_PX = 1024


@dataclass(frozen=True, slots=True)
class CvoglLayout:
    """One of the data sets of this layout."""

    name: str  # ours, in the registry
    folder: str  # theirs
    frame_wh_px: tuple[int, int]
    lists: dict[str, tuple[str, ...]]  # split -> patterns of its list's file name
    published_counts: dict[str, int] = field(default_factory=dict)
    georeferenced: bool = True
    masks: bool = False  # with CVOGL-Seg

    def home(self, root: Path) -> Path:
        """Where the lists are: the data set's folder below `root`, or `root` if it is that folder.

        Raises:
            DataError: there is no such folder.
        """
        below = root / self.folder
        if below.is_dir():
            return below
        if root.name == self.folder and root.is_dir():
            return root
        raise DataError(
            f"{root} does not hold {self.name}",
            expected=f"a folder {self.folder}",
            found=describe_folder(root),
            do="give the folder that the data set was unpacked to",
        )

    def list_path(self, root: Path, split: str) -> Path:
        """The list of a split.

        Raises:
            DataError: an unknown split, or none or several lists of it.
        """
        home = self.home(root)
        patterns = self.lists.get(split, ())
        found = sorted({path for pattern in patterns for path in home.glob(pattern)})
        if len(found) == 1:
            return found[0]
        problem = "several lists for the" if found else "no"
        splits = f"one of the splits {', '.join(self.lists)}"
        there = found or sorted(home.glob("*.pth"))
        raise DataError(
            f"{self.name} in {home} has {problem} split {split!r}",
            expected=f"one file {' or '.join(patterns)}" if patterns else splits,
            found=", ".join(path.name for path in there) or "no .pth file",
            do="download the data set again, or name another split",
        )

    def splits(self, root: Path) -> tuple[str, ...]:
        """The splits that have a list below `root`; none where the folder is not there."""
        try:
            home = self.home(root)
        except DataError:
            return ()
        return tuple(
            split
            for split, patterns in self.lists.items()
            if any(any(home.glob(p)) for p in patterns)
        )


def _lists(folder: str) -> dict[str, tuple[str, ...]]:
    return {split: (f"{folder}_{split}.pth",) for split in ("train", "val", "test")}


_COUNTS = {"train": 4343, "val": 923, "test": 973}
DRONE = CvoglLayout(
    "cvogl_drone", "CVOGL_DroneAerial", (256, 256), _lists("CVOGL_DroneAerial"), _COUNTS
)
SVI = CvoglLayout("cvogl_svi", "CVOGL_SVI", (512, 256), _lists("CVOGL_SVI"), _COUNTS)
DRONE_SEG = replace(DRONE, name="cvogl_drone_seg", masks=True)
SVI_SEG = replace(SVI, name="cvogl_svi_seg", masks=True)
FEWSHOT = replace(
    DRONE,
    name="cvogl_fewshot",
    lists={s: (f"*few*{s}*.pth", f"*{s}*few*.pth") for s in ("train", "test")},
    published_counts={},
)
G2D = CvoglLayout(
    "g2d",
    "G2D",
    (512, 256),
    _lists("G2D"),
    {"train": 1951, "val": 432, "test": 370},
    georeferenced=False,
)


@dataclass(frozen=True, slots=True)
class CvoglFolder:
    """One split, read one sample at a time."""

    layout: CvoglLayout
    split: str
    home: Path
    records: tuple[CvoglRecord, ...]
    masks: MaskFolder | None = None

    @staticmethod
    def open(layout: CvoglLayout, root: Path, split: str) -> CvoglFolder:
        """Read the list of a split; pictures are opened when they are asked for.

        Raises:
            DataError: no such folder or split, a list that cannot be read, or a broken record.
        """
        records, faults = read_records(layout.list_path(root, split))
        if faults:
            raise faults[0].as_error()
        home = layout.home(root)
        masks = MaskFolder.open(home) if layout.masks else None
        return CvoglFolder(layout, split, home, tuple(records), masks)

    @property
    def name(self) -> str:
        """Data set and split."""
        return f"{self.layout.name}/{self.split}"

    def __len__(self) -> int:
        return len(self.records)

    def class_of(self, index: int) -> str:
        """Class of a sample's object, without decoding its pictures."""
        return self.records[index].class_name

    def frame_path(self, record: CvoglRecord) -> Path:
        """Where a record's query picture is."""
        return self.home / "query" / record.frame_file

    def window_path(self, record: CvoglRecord) -> Path:
        """Where a record's satellite picture is."""
        return self.home / "satellite" / record.window_file

    def read(self, index: int) -> PairSample:
        """Decode one sample: one click, present; the mask too where the layout has masks.

        Raises:
            DataError: a picture that is missing, broken or of another size.
        """
        record = self.records[index]
        what = f"record {record.record_id} of {self.name}"
        window = read_picture(
            self.window_path(record), f"satellite picture, {what}", (WINDOW_PX, WINDOW_PX)
        )
        mask: NDArray[np.bool_] | None = None
        if self.masks is not None:
            mask = self.masks.read(record, window.shape[:2])[None]  # [1, H, W]
        return PairSample(
            frame=read_picture(
                self.frame_path(record), f"query picture, {what}", self.layout.frame_wh_px
            ),
            window=window,
            click_xy_px=np.array([record.click_xy_px], np.float32),
            box_xyxy_px=np.array([record.box_xyxy_px], np.float32),
            present=np.ones(1, bool),
            expected_xy_px=unknown_places(1),
            source=f"{self.layout.name}/{Path(record.window_file).stem}",
            class_names=(record.class_name,),
            polygon_xy_px=np.array([record.polygon_xy_px], np.float32).reshape(1, 4, 2),
            mask=mask,
            geometry=self.geometry(record),
        )

    def geometry(self, record: CvoglRecord) -> AffineGeometry | None:
        """Georeference by the satellite file's name; None where the name holds none.

        The check notes such names: training does without a position.
        """
        if not self.layout.georeferenced:
            return None
        try:
            return cvogl_geometry(record.window_file, WINDOW_PX)
        except GeoreferenceError:
            return None
