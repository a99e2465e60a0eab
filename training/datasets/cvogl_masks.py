"""CVOGL-Seg (TROGeo, ICCV 2025): the mask of each object of CVOGL, beside it on disk.

    CVOGL/CVOGL_DroneAerial/satellite/<stem>.jpg
    CVOGL-Seg/CVOGL_DroneAerial/mask-satellite/<stem>--bbox(x1,y1,x2,y2).jpg

Both folders lie in one folder. The box in the name is that of the record, truncated to whole
pixels: it tells the objects of one satellite picture apart. A mask is a grey JPEG of the satellite
picture's size; above 127 is the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from training.datasets.cvogl_records import CvoglRecord
from training.datasets.pictures import read_picture

FOLDER = "CVOGL-Seg"
OBJECT_ABOVE = 127


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """The masks of one of CVOGL's two data sets."""

    path: Path

    @staticmethod
    def open(home: Path) -> MaskFolder:
        """Find the masks of a data set.

        Args:
            home: its folder, such as CVOGL/CVOGL_DroneAerial; the masks are sought in CVOGL-Seg
                beside CVOGL, and in CVOGL.

        Raises:
            DataError: there are none.
        """
        home = home.resolve()
        places = [
            folder / FOLDER / home.name / "mask-satellite"
            for folder in (home.parent.parent, home.parent)
        ]
        for place in places:
            if place.is_dir():
                return MaskFolder(place)
        raise DataError(
            f"the masks of {home.name} are missing",
            expected=" or ".join(map(str, places)),
            found="no such folder",
            do="unpack CVOGL-Seg beside the folder CVOGL",
        )

    def mask_path(self, record: CvoglRecord) -> Path:
        """Where a record's mask is."""
        box = ",".join(str(int(value)) for value in record.box_xyxy_px)
        return self.path / f"{Path(record.window_file).stem}--bbox({box}).jpg"

    def read(self, record: CvoglRecord, shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
        """The object's pixels. -> [H, W].

        Raises:
            DataError: missing, not a picture, or of another size.
        """
        height, width = shape_hw
        what = f"mask of record {record.record_id}"
        grey = read_picture(self.mask_path(record), what, (width, height), grey=True)
        return np.asarray(grey > OBJECT_ABOVE)
