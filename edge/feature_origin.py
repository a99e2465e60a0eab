"""What makes the features of a run: it names the store of another making, and how to make its own.

A store knows its encoder by the sha256 of the graph alone. A bundle knows those of all its
precisions, so that a store of the wrong one can be told from a store of another model.
"""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import Bundle, shipped_bundle_path
from edge.errors import BundleError, FeatureStoreError
from edge.feature_header import HEADER_NAME, read_header
from edge.feature_quantization import stored_type
from edge.feature_refusals import check_identity
from edge.precisions import graph_precision, short_name

DEFAULT_EXECUTOR = "onnxruntime"


@dataclass(frozen=True, slots=True)
class FeatureOrigin:
    """A bundle in a precision, over a map."""

    bundle: Bundle
    executor: str
    precision: str  # as the command takes it
    map_path: Path
    more: tuple[str, ...] = ()  # further words of `tilefix tiles encode`

    @property
    def model_id(self) -> str:
        """Identity of the encoder graph."""
        return self.bundle.encoder_id(graph_precision(self.precision, self.executor))

    def command(self, store: Path | str = "NEW") -> str:
        """What encodes windows for this run."""
        words = ["tilefix", "tiles", "encode"]
        if not _is_shipped(self.bundle):
            words += ["--bundle", str(self.bundle.path)]
        words += ["--tiles", str(self.map_path), "--store", str(store), *self.more]
        if self.executor != DEFAULT_EXECUTOR:
            words += ["--executor", self.executor]
        return shlex.join([*words, "--precision", self.precision])

    def check(self, folder: Path, map_id: str) -> None:
        """Refuse a store that this run cannot use.

        Raises:
            FeatureStoreError: none there, an altered one, or one of another precision, bundle or
                map.
        """
        header = read_header(folder, encode=self.command(folder))
        if header.model_id != self.model_id:
            raise self._of_another(folder, header.model_id)
        check_identity(folder, "map", map_id, header.map_id, encode=self.command())

    def check_begun(self, folder: Path, map_id: str, features: str) -> None:
        """Refuse to go on with a store of something else, before anything is encoded.

        Args:
            folder: of the store, which need not be there.
            map_id: of the map.
            features: how it shall hold them, one of `edge.feature_quantization.TYPES`.

        Raises:
            FeatureStoreError: see `check`; or the store holds its features in another type.
        """
        if not (folder / HEADER_NAME).exists():
            return
        self.check(folder, map_id)
        names = {each.name for each in self.bundle.manifest.features}
        there = stored_type(read_header(folder).tensors, names)
        if there != features:
            raise FeatureStoreError(
                f"the feature store {folder} holds its features in {there}",
                expected=f"--features {there}, as it was begun",
                found=f"--features {features}",
                do=f"give --features {there} to go on with it, or begin another: {self.command()}",
            )

    def _of_another(self, folder: Path, model_id: str) -> FeatureStoreError:
        own = f"bundle {self.bundle.manifest.name} in {self._words(self.precision)}"
        if names := _precisions_of(self.bundle, model_id):
            choices = [self._words(name) for name in names]
            return FeatureStoreError(
                f"the feature store {folder} is for another precision",
                expected=own,
                found=f"bundle {self.bundle.manifest.name} in {' or '.join(choices)}",
                do=f"give --precision {choices[0]}, or make a store for this run: {self.command()}",
            )
        shipped = None if _is_shipped(self.bundle) else _shipped()
        if shipped is not None and (names := _precisions_of(shipped, model_id)):
            choices = [self._words(name) for name in names]
            return FeatureStoreError(
                f"the feature store {folder} is for another bundle",
                expected=own,
                found=f"the shipped bundle {shipped.manifest.name} in {' or '.join(choices)}",
                do=f"leave --bundle out and give --precision {choices[0]}, or make a store for "
                f"this run: {self.command()}",
            )
        return FeatureStoreError(
            f"the feature store {folder} is for another model",
            expected=f"model {self.model_id}: {own}",
            found=f"model {model_id}, which is no precision of this bundle",
            do=f"give the --bundle that it was made with, or make a store for this run: "
            f"{self.command()}",
        )

    def _words(self, precision: str) -> str:
        """A precision as this executor's commands take it."""
        short = short_name(precision)
        same = graph_precision(short, self.executor) == graph_precision(precision, self.executor)
        return short if same else precision


def _precisions_of(bundle: Bundle, model_id: str) -> list[str]:
    """Those whose encoder is of this identity, the plainest first."""
    found = [name for name in bundle.precisions if bundle.encoder_id(name) == model_id]
    return sorted(found, key=len)


def _is_shipped(bundle: Bundle) -> bool:
    shipped = None
    with contextlib.suppress(BundleError):  # an installation may carry none
        shipped = shipped_bundle_path().resolve()
    return bundle.path.resolve() == shipped


def _shipped() -> Bundle | None:
    with contextlib.suppress(BundleError):  # none there: then the store is of no known bundle
        return Bundle.open(shipped_bundle_path())
    return None
