"""A model on disk: a folder with `bundle.toml`, its graphs, and the sha256 of every file.

The manifest carries its own sha256 too (`edge.manifest.content_sha256`): no byte goes unchecked.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import BundleError, MissingLibraryError, OutputError
from edge.manifest import (
    MANIFEST_NAME,
    OWN_HASH,
    SCHEMA,
    Manifest,
    check_manifest,
    check_relative,
    content_sha256,
    parse_manifest,
)
from edge.sinks import not_written

ENCODER = "reference_encoder"
LOCALIZER = "localizer"
ALIGNMENT_GRAPH = "alignment/xfeat.onnx"
# Of the localizer once more: from a frame to its map of queries, and on to those of the clicks.
FRAME_PART, QUERIES_PART = PARTS = "localizer_frame", "localizer_queries"
_PART = f"{LOCALIZER}_"  # how the names of parts begin, those of older versions too
_CHUNK_BYTES = 1 << 20


def is_part(name: str) -> bool:
    """Whether a file of a bundle is a part of its localizer, this version's or an older one's."""
    return Path(name).stem.startswith(_PART)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: the manifest and every file that it lists had their sha256."""

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Bundle:
        """Read the manifest of the folder `path` and verify every file in it.

        Files that the manifest does not list (engines built on this device) are left alone, and
        `graph` and `file` never hand them out.

        Raises:
            BundleError: no manifest, a broken or altered one, a missing file, or one whose sha256
            differs.
        """
        folder = Path(path)
        where = folder / MANIFEST_NAME
        try:
            text = where.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                f"there is no readable bundle at {folder}",
                expected=f"a folder with {MANIFEST_NAME} in it",
                found=f"{type(error).__name__}: {error}",
                do="give the path of a bundle folder, or none for the shipped one",
            ) from error
        manifest = parse_manifest(text, str(where))
        for name, sha256 in manifest.files.items():
            _verify(folder, name, sha256)
        bundle = Bundle(folder, manifest)
        bundle.graph(ENCODER)  # its hash is the identity of the model: no bundle without it
        return bundle

    @property
    def model_id(self) -> str:
        """Identity of the features that this bundle makes: sha256 of the fp32 encoder graph."""
        return self.encoder_id("fp32")

    def encoder_id(self, precision: str) -> str:
        """Identity of the features of one precision: sha256 of that encoder graph.

        The graph names the sha256 of weights that lie beside it, so these count as well.
        """
        self.graph(ENCODER, precision)
        return self.manifest.files[f"graphs/{precision}/{ENCODER}.onnx"]

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that both graphs exist in, e.g. ("fp32",)."""
        both = [
            {name.split("/")[1] for name in self.manifest.files if name.endswith(f"/{kind}.onnx")}
            for kind in (ENCODER, LOCALIZER)
        ]
        return tuple(sorted(both[0] & both[1]))

    def in_parts(self, precision: str) -> bool:
        """Whether the localizer of a precision is there cut in parts as well."""
        return f"graphs/{precision}/{QUERIES_PART}.onnx" in self.manifest.files

    def in_old_parts(self, precision: str) -> bool:
        """Whether it is there in parts that only an older version of tilefix can join."""
        names = self.manifest.files
        return not self.in_parts(precision) and f"graphs/{precision}/{FRAME_PART}.onnx" in names

    def graph(self, kind: str, precision: str = "fp32") -> Path:
        """Path of the graph `kind` ("reference_encoder", "localizer") in `precision`.

        Raises:
            BundleError: the bundle has no such graph; the text lists those that it has.
        """
        return self.file(f"graphs/{precision}/{kind}.onnx")

    def file(self, name: str) -> Path:
        """Path of a verified file by its name in the manifest, e.g. "alignment/xfeat.onnx".

        Raises:
            BundleError: the manifest does not list it.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"the bundle {self.manifest.name} has no file {name}",
                expected=f"one of: {', '.join(sorted(self.manifest.files)) or 'none are listed'}",
                found=name,
                do="choose a precision that the bundle has, or export it again with that part",
            )
        return self.path / name


def shipped_bundle_path() -> Path:
    """Folder of the bundle that comes with tilefix, `edge/bundles/lite`.

    Raises:
        BundleError: this installation carries no bundle.
    """
    # tilefix is installed as plain files (setuptools, zip-safe false), so the resource is a path.
    folder = Path(str(importlib.resources.files("edge"))) / "bundles" / "lite"
    if not (folder / MANIFEST_NAME).is_file():
        raise BundleError(
            "this installation of tilefix carries no bundle",
            expected=f"{folder / MANIFEST_NAME}",
            found="no such file",
            do="install tilefix again from its wheel, or give a bundle",
        )
    return folder


def write_bundle(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    replace: bool = False,
) -> Bundle:
    """Write a bundle beside `folder`, verify it, and rename it into place.

    Args:
        folder: where the bundle shall be; its parent is made.
        manifest: what it says; `schema`, `files` and `manifest_sha256` are filled in here.
        files: name inside the bundle -> its bytes, or the file to copy.
        replace: take the place of a bundle that is already there.

    Returns:
        The bundle as read back from the disk.

    Raises:
        BundleError: a name leaves the folder, or the manifest cannot be meant.
        OutputError: the folder exists; no room, or no permission; no half bundle is left.
        MissingLibraryError: `tomli_w` (extra `export`) is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingLibraryError(
            "a bundle cannot be written without the library tomli_w",
            expected="tomli_w, part of the extra 'export'",
            found=str(error),
            do="pip install 'tilefix[export]'",
        ) from error
    target = Path(folder)
    if target.exists() and not (replace and (target / MANIFEST_NAME).is_file()):
        raise OutputError(
            f"{target} is already there",
            expected="a new folder, or replace=True over a bundle",
            found="a bundle" if (target / MANIFEST_NAME).is_file() else "something else",
            do="choose another folder, or remove this one",
        )
    for name in files:
        check_relative(name, str(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise not_written(target, error) from error
    old = new.with_name(new.name + ".old")
    try:
        hashes = {name: _put(new / name, content) for name, content in sorted(files.items())}
        filled = msgspec.structs.replace(manifest, schema=SCHEMA, files=hashes)
        check_manifest(filled, str(target))
        table = _without_none(msgspec.to_builtins(filled))
        # Hashed as it reads back: what TOML makes of a value is what will be verified.
        table[OWN_HASH] = content_sha256(tomli_w.dumps(table))
        text = tomli_w.dumps(table)
        (new / MANIFEST_NAME).write_text(text, encoding="utf-8", newline="\n")
        Bundle.open(new)
        new.chmod(0o755)  # mkdtemp makes it private
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:  # also Ctrl-C: leave no half bundle, and the old one as it was
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        # A file to copy that is not there is the caller's, and no matter of the target.
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise not_written(target, error) from error
        raise
    return Bundle.open(target)


def sha256_of(path: Path) -> str:
    """Sha256 of a file in hexadecimal, read in pieces of one megabyte."""
    digest = hashlib.sha256()
    piece = memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def _verify(folder: Path, name: str, sha256: str) -> None:
    path = folder / name
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BundleError(
            f"the bundle {folder} lacks a file that its manifest lists",
            expected=name,
            found=f"{type(error).__name__}: {error.strerror}",
            do="fetch or export the bundle again",
        ) from error
    if found != sha256:
        raise BundleError(
            f"the file {name} of the bundle {folder} was altered",
            expected=f"sha256 {sha256}",
            found=f"sha256 {found}, {path.stat().st_size} bytes",
            do="fetch or export the bundle again; do not fly with this one",
        )


def _put(path: Path, content: bytes | Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    return sha256_of(path)


def _without_none(value: Any) -> Any:
    """TOML has no null: an absent optional value is an absent key."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return value
