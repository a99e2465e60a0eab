"""Another precision for a bundle that exists: new graphs beside its files, which stay as they are.

Stored features of a precision are identified by the sha256 of its encoder graph, so a graph that is
there is never exported again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.bundle import Bundle, write_bundle
from edge.errors import UsageError
from export.bundle_maker import graph_files
from export.bundle_weights import lite_from_bundle


def add_precisions(source: Path, out: Path, precisions: Sequence[str]) -> Bundle:
    """Write a bundle's copy that has graphs in some more precisions.

    Args:
        source: folder of the bundle.
        out: folder of the copy, which may be `source`; a bundle that is there is replaced, engines
            in it are not kept.
        precisions: those that the bundle has already are kept as they are.

    Raises:
        BundleError: a broken bundle, or one whose weights cannot be read from its graphs.
        UsageError: the bundle has all of them.
    """
    bundle = Bundle.open(source)
    missing = [precision for precision in precisions if precision not in bundle.precisions]
    if not missing:
        raise UsageError(
            f"there is nothing to add to {source}",
            expected="a precision that the bundle does not have",
            found=f"{', '.join(precisions)}; it has {', '.join(bundle.precisions)}",
            do="ask for another one with --precision, or use the bundle as it is",
        )
    model = lite_from_bundle(bundle)
    with tempfile.TemporaryDirectory() as scratch:
        kept = {name: bundle.file(name) for name in bundle.manifest.files}
        added = graph_files(model, Path(scratch), missing)
        heads = {f"graphs/{p}/head.npz": bundle.file("graphs/fp32/head.npz") for p in missing}
        return write_bundle(out, bundle.manifest, {**kept, **added, **heads}, replace=out.exists())
