"""What a bundle says of itself: `bundle.toml` as typed values.

A manifest is read once, checked in full, and trusted afterwards. An unknown key is an error that
names the nearest known one, so that a misspelt threshold is never a silent default. The manifest
carries the sha256 of its own content, so that a threshold altered on the way is refused as well.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from pathlib import PurePosixPath
from typing import Any

import msgspec

from edge.errors import BundleError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = "tilefix-bundle/1"
MANIFEST_NAME = "bundle.toml"
OWN_HASH = "manifest_sha256"
SIMILARITY_SOURCES = ("cosine", "confidence")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all parts of a manifest: immutable, keywords only, no unknown keys."""


class FrameSpec(Section, frozen=True, kw_only=True):
    """The size that a camera frame is letterboxed to."""

    width_px: int
    height_px: int


class WindowSpec(Section, frozen=True, kw_only=True):
    """The reference window that the encoder takes, and its ground sampling distance."""

    width_px: int
    height_px: int
    gsd_m: float


class ClickSpec(Section, frozen=True, kw_only=True):
    """How a click enters the graph ("gather", "gaussian"), and its one-sigma error."""

    encoding: str
    sigma_px: float  # pixels of the letterboxed frame
    drawn_sigma: float | None = None  # of a drawn Gaussian or Laplacian, share of the diagonal


class HeadSpec(Section, frozen=True, kw_only=True):
    """The detection head: stride of its grid and its anchors in the order of their channels."""

    stride_px: int
    anchors_wh_px: tuple[tuple[float, float], ...]
    # What peak_similarity is: the raw cosine, or the confidence map of a joint-attention model.
    similarity: str = "cosine"
    # Of the error radius, for heads that blend with a prior (edge.centre_spread): 90 % of held-out
    # errors lie inside. The default is that of bundle `lite` 1 on its held-out samples.
    radius_factor: float = 1.42


class FeatureSpec(Section, frozen=True, kw_only=True):
    """One output of the reference encoder that the localizer takes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str  # "DHW"


class AcceptanceSpec(Section, frozen=True, kw_only=True):
    """Logistic model of "this fix is right", and the thresholds that it is accepted from.

    There are two, so that a fix is as trustworthy where alignment failed as where it did not.
    """

    features: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float  # with frame alignment
    threshold_unaligned: float  # without
    fitted_on: str
    wrong_rate_target: float | None = None  # what both were chosen for, on held-out data
    wrong_rate_held_out: float | None = None  # and what they reached there
    expected_calibration_error: float | None = None  # on the same held-out data


class Manifest(Section, frozen=True, kw_only=True):
    """The whole `bundle.toml`."""

    schema: str
    name: str
    model: str
    version: str
    licence: str
    origin: str
    frame: FrameSpec
    window: WindowSpec
    click: ClickSpec
    head: HeadSpec
    features: tuple[FeatureSpec, ...]
    acceptance: AcceptanceSpec
    scores: dict[str, Any] = {}  # measured numbers, each beside its command; free form
    alignment: dict[str, Any] = {}  # its graph and where that is from, for people; {}: none
    files: dict[str, str] = {}  # path inside the bundle, with forward slashes -> sha256
    manifest_sha256: str = ""  # of all other keys, see `content_sha256`; written by write_bundle


def parse_manifest(text: str, where: str) -> Manifest:
    """Turn the text of `bundle.toml` into a checked `Manifest`; `where` names it in errors.

    Raises:
        BundleError: not TOML, another schema, an unknown or missing key, a value of the wrong type,
            a number that cannot be meant, a path that leaves the bundle, or content that is not
            what was written.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BundleError(
            f"the manifest {where} is not TOML",
            expected="a TOML file",
            found=str(error),
            do="fetch or export the bundle again",
        ) from error
    if table.get("schema") != SCHEMA:
        raise BundleError(
            f"the manifest {where} has another schema",
            expected=f'schema = "{SCHEMA}"',
            found=f"schema = {table.get('schema')!r}",
            do="export the bundle again with this version of tilefix, or install the version that "
            "made it",
        )
    _refuse_unknown_keys(Manifest, table, where)
    try:
        manifest = msgspec.convert(table, Manifest)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"the manifest {where} does not fit its schema",
            expected=f"every key of {SCHEMA}, each of its type",
            found=str(error),
            do="correct that key, or export the bundle again",
        ) from error
    check_manifest(manifest, where)
    _check_own_hash(manifest.manifest_sha256, table, where)
    return manifest


def content_sha256(text: str) -> str:
    """Sha256 of what a manifest says: all keys but its own hash, in an order of no meaning.

    Over the parsed content, not the bytes: other line ends or comments do not break a bundle.
    """
    return _sha256_of_table(tomllib.loads(text))


def check_manifest(manifest: Manifest, where: str) -> None:
    """Refuse values that have the right type and still cannot be meant."""
    head, acceptance = manifest.head, manifest.acceptance
    sizes = {
        "frame.width_px": manifest.frame.width_px,
        "frame.height_px": manifest.frame.height_px,
        "window.width_px": manifest.window.width_px,
        "window.height_px": manifest.window.height_px,
        "window.gsd_m": manifest.window.gsd_m,
        "head.stride_px": head.stride_px,
    }
    for key, value in sizes.items():
        if not 0 < value < float("inf"):
            raise _bad_value(where, key, "a positive number", repr(value))
    if not head.anchors_wh_px or any(not side > 0 for pair in head.anchors_wh_px for side in pair):
        found = repr(head.anchors_wh_px)
        raise _bad_value(where, "head.anchors_wh_px", "at least one positive (w, h)", found)
    if not 0 < head.radius_factor < float("inf"):
        raise _bad_value(where, "head.radius_factor", "a positive number", repr(head.radius_factor))
    if head.similarity not in SIMILARITY_SOURCES:
        raise _bad_value(where, "head.similarity", str(SIMILARITY_SOURCES), repr(head.similarity))
    if not manifest.click.sigma_px >= 0:
        raise _bad_value(where, "click.sigma_px", "0 or more", repr(manifest.click.sigma_px))
    if len(acceptance.features) != len(acceptance.weights):
        expected = f"{len(acceptance.features)} numbers, one for each feature"
        raise _bad_value(where, "acceptance.weights", expected, str(len(acceptance.weights)))
    for path in manifest.files:
        check_relative(path, where)


def check_relative(path: str, where: str) -> None:
    """Refuse a file name that could reach outside the bundle's folder."""
    parts = PurePosixPath(path).parts
    plain = parts and "/".join(parts) == path and "\\" not in path and ":" not in path
    if not plain or ".." in parts or path.startswith("/") or path == MANIFEST_NAME:
        raise BundleError(
            f"the manifest {where} names a file that is not inside the bundle",
            expected="a relative path with forward slashes and without '..'",
            found=repr(path),
            do="do not use this bundle; fetch it again from where you trust it",
        )


def _sha256_of_table(table: dict[str, Any]) -> str:
    content = {key: value for key, value in table.items() if key != OWN_HASH}
    # `default`: dates and times are the only values of TOML that JSON lacks
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_own_hash(stated: str, table: dict[str, Any], where: str) -> None:
    found = _sha256_of_table(table)
    if stated == found:
        return
    raise BundleError(
        f"the manifest {where} was altered"
        if stated
        else f"the manifest {where} does not carry its own hash",
        expected=f'{OWN_HASH} = "{stated}"' if stated else f"the key `{OWN_HASH}`",
        found=f"content of sha256 {found}" if stated else "no such key",
        do="fetch or export the bundle again; do not fly with this one",
    )


def _bad_value(where: str, key: str, expected: str, found: str) -> BundleError:
    return BundleError(
        f"the manifest {where} has a value at `{key}` that cannot be meant",
        expected=expected,
        found=found,
        do="correct that key, or export the bundle again",
    )


def _refuse_unknown_keys(section: type[Section], table: dict[str, Any], where: str) -> None:
    """Walk all sections; msgspec would refuse too, but without the nearest key."""
    _refuse_keys_of(section, table, where)
    for key, part in _PARTS.items():
        value = table.get(key)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                _refuse_keys_of(part, item, where, f"{key}.")


def _refuse_keys_of(
    section: type[Section], table: dict[str, Any], where: str, prefix: str = ""
) -> None:
    known = [field.name for field in msgspec.structs.fields(section)]
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise BundleError(
            f"the manifest {where} has an unknown key",
            expected=f"one of: {', '.join(known)}",
            found=f"`{prefix}{key}`",
            do=f"write `{prefix}{near}` if that was meant, or remove the key",
        )


_PARTS: dict[str, type[Section]] = {
    "frame": FrameSpec,
    "window": WindowSpec,
    "click": ClickSpec,
    "head": HeadSpec,
    "features": FeatureSpec,
    "acceptance": AcceptanceSpec,
}
