"""`tilefix plugin`: compile the custom kernels."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.group()
def plugin() -> None:
    """Build the TensorRT plugin with its kernels."""


@plugin.command()
@click.option("--out", type=PATH, required=True, help="Folder of the library and its plugin.json.")
@click.option(
    "--arch",
    help="Compute capabilities: Orin 87, Hopper 90, Thor 110. When not given: this machine's GPU, "
    "or without one those of these three that nvcc knows.",
)
@click.option("--target", help="x86_64 or aarch64; this machine's when not given.")
@click.option("--kernels-only", is_flag=True, help="Leave the TensorRT shell and its headers out.")
def build(out: Path, arch: str | None, target: str | None, kernels_only: bool) -> None:
    """Compile with nvcc; TensorRT's headers are found, or fetched once from PyPI."""
    from export.plugin.build import build_plugin

    manifest = build_plugin(
        out,
        None if arch is None else parse_archs(arch),
        target,
        shell=not kernels_only,
        progress=click.echo,
    )
    size = manifest.library_bytes / 1e6
    headers = manifest.tensorrt_headers
    shell = f"TensorRT headers {headers}" if headers else "kernels only, no TensorRT plugin"
    click.echo(f"{out / manifest.library}: {size:.1f} MB, {shell}")
    click.echo(f"sha256 {manifest.library_sha256}")


def parse_archs(text: str) -> tuple[int, ...]:
    """ "87,sm_90,sm110" -> (87, 90, 110).

    Raises:
        UsageError: something that is no number.
    """
    from edge.errors import UsageError

    names = [
        part.strip().lower().removeprefix("sm").removeprefix("_")
        for part in text.split(",")
        if part.strip()
    ]
    if not names or not all(name.isdecimal() for name in names):
        raise UsageError(
            "the architectures cannot be read",
            expected="numbers with commas between, such as 87,90,110",
            found=repr(text),
            do="give --arch the compute capability without its dot: 8.7 is 87",
        )
    return tuple(map(int, names))
