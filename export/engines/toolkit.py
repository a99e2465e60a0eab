"""Which TensorRT builds the engines, the full one of a device or TensorRT-RTX; how they differ.

| | `tensorrt` 10.3 to 11 | `tensorrt_rtx` |
|---|---|---|
| builds for | the GPU of this machine | named capabilities, without a GPU too |
| strongly typed | by a flag before 11, always from 11 on | always |
| function bodies of ONNX | before 10.7 they beat the plugin: strip them | the plugin wins |
| timing cache | a file | none at build time |

What a version has is decided by its number, never by whether an attribute is there: a guard of that
kind turned FP16 into FP32 in other projects when TensorRT 11 removed its precision flags.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.engine_manifest import TOOLKITS
from edge.errors import ExecutorError, MissingLibraryError, UsageError

FULL, RTX = TOOLKITS
OLDEST_FULL = (10, 3)
ALWAYS_TYPED_FROM = (11, 0)
PLUGIN_WINS_FROM = (10, 7)
INSTALL = {
    FULL: "sudo apt install python3-libnvinfer, in a venv made with --system-site-packages",
    RTX: "pip install tensorrt-rtx",
}
OPSET_BEFORE_10_7, OPSET = 20, 24  # newest that the parser's operators.md lists
RTX_LIBRARY = "libtensorrt_rtx.so"
LIBRARY_PATH = "LD_LIBRARY_PATH"


@dataclass(frozen=True, slots=True)
class Toolkit:
    """One installed TensorRT."""

    name: str  # "tensorrt", "tensorrt_rtx"
    version: str  # "10.3.0", as its module says
    trt: Any  # the module

    @staticmethod
    def find(choice: str | None, *, local: bool) -> Toolkit:
        """Import the chosen toolkit, or the one that is there.

        Args:
            choice: one of TOOLKITS, also spelt with a hyphen; None: the one that is installed.
                Where both are, the full one builds for the local GPU, and TensorRT-RTX for others.
            local: the engine is for the GPU of this machine.

        Raises:
            UsageError: an unknown name.
            MissingLibraryError: it is not installed, or too old.
        """
        if choice is not None and (choice := choice.replace("-", "_")) not in TOOLKITS:
            raise UsageError(
                f"there is no toolkit {choice!r}",
                expected=f"--toolkit {' or '.join(TOOLKITS)}".replace("_", "-"),
                found=choice,
                do="choose one of these, or leave --toolkit out",
            )
        there = [name for name in TOOLKITS if importlib.util.find_spec(name) is not None]
        if choice is None:
            choice = there[0 if local else -1] if there else None
        if choice is None or choice not in there:
            raise MissingLibraryError(
                "no TensorRT is installed" if choice is None else f"{choice} is not installed",
                expected=" or ".join(TOOLKITS) if choice is None else choice,
                found=", ".join(there) or f"neither, for {sys.executable}",
                do="; ".join(
                    f"{'on a Jetson' if name == FULL else 'on a PC'}: {INSTALL[name]}"
                    for name in ((choice,) if choice else TOOLKITS)
                ),
            )
        return Toolkit.load(choice)

    @staticmethod
    def load(name: str) -> Toolkit:
        """Import one toolkit by name.

        Raises:
            MissingLibraryError: it cannot be imported, or is older than 10.3.
        """
        try:
            trt = importlib.import_module(name)
        except ImportError as error:
            raise MissingLibraryError(
                f"{name} is installed and cannot be imported",
                expected="a module with all libraries that it needs",
                found=str(error),
                do=INSTALL[name],
            ) from error
        toolkit = Toolkit(name, str(trt.__version__), trt)
        if name == FULL and toolkit.numbers < OLDEST_FULL:
            raise MissingLibraryError(
                f"TensorRT {toolkit.version} is too old",
                expected="TensorRT 10.3 (JetPack 6) or newer: strongly typed graphs and V3 plugins",
                found=toolkit.version,
                do="install JetPack 6 or 7, or a newer TensorRT",
            )
        return toolkit

    @property
    def numbers(self) -> tuple[int, ...]:
        """ "10.3.0.30" as (10, 3, 0, 30)."""
        return tuple(map(int, re.findall(r"\d+", self.version)))

    @property
    def title(self) -> str:
        """For people: "TensorRT-RTX 1.7.1.116"."""
        return f"{'TensorRT-RTX' if self.ahead_of_time else 'TensorRT'} {self.version}"

    @property
    def executor(self) -> str:
        """The executor that runs its engines: "tensorrt" or "tensorrt-rtx"."""
        return self.name.replace("_", "-")

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds for GPUs that are not here, and not for the very one that is."""
        return self.name == RTX

    @property
    def plugin_wins(self) -> bool:
        """Whether the ONNX parser takes a registered plugin before a node's function body."""
        return self.ahead_of_time or self.numbers >= PLUGIN_WINS_FROM

    @property
    def newest_opset(self) -> int:
        """The newest ONNX operator set that its parser lists as supported."""
        return OPSET if self.plugin_wins else OPSET_BEFORE_10_7

    def environment(self, scratch: Path) -> dict[str, str]:
        """Variables that the process of a build needs from its start.

        The parser of TensorRT-RTX loads "libtensorrt_rtx.so" when it meets a plugin and aborts the
        process where that fails; the wheel has "libtensorrt_rtx.so.1" alone. A link in a folder of
        ours leaves site-packages, which may not be ours, as it is.

        Args:
            scratch: folder for the link; must live as long as the process.

        Raises:
            MissingLibraryError: the wheel has no such library at all.
        """
        if not self.ahead_of_time:
            return {}
        spec = importlib.util.find_spec("tensorrt_rtx_libs")
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        found = [path for folder in folders for path in Path(folder).glob(f"{RTX_LIBRARY}*")]
        if not found:
            raise MissingLibraryError(
                "tensorrt_rtx is installed without its library",
                expected=f"{RTX_LIBRARY}.1 in tensorrt_rtx_libs",
                found=", ".join(folders) or "no package tensorrt_rtx_libs",
                do=f"{INSTALL[RTX]} --force-reinstall",
            )
        (scratch / RTX_LIBRARY).symlink_to(min(found))
        others = os.environ.get(LIBRARY_PATH)
        return {LIBRARY_PATH: os.pathsep.join(filter(None, (str(scratch), others)))}

    def new_network(self, builder: Any) -> Any:
        """An empty network whose types are those of the graph.

        Raises:
            ExecutorError: the builder does not give a strongly typed one.
        """
        if self.ahead_of_time or self.numbers >= ALWAYS_TYPED_FROM:
            return builder.create_network(0)
        flag = self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        network = builder.create_network(1 << int(flag))
        if not network.get_flag(flag):
            raise ExecutorError(
                f"{self.title} made a network that chooses its types itself",
                expected="a strongly typed one, as was asked for",
                found="the flag STRONGLY_TYPED is not set",
                do="report this: such an engine would not have the promised precision",
            )
        return network

    def known_capabilities(self) -> tuple[int, ...]:
        """Compute capabilities that it builds ahead of time for: (75, 80, 86, 89, 120, 121)."""
        if not self.ahead_of_time:
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(sorted(int(name[2:]) for name in names if re.fullmatch(r"SM\d+", name)))

    def set_capabilities(self, config: Any, capabilities: tuple[int, ...]) -> None:
        """Tell a builder's configuration what GPUs the engine is for.

        Raises:
            ExecutorError: the builder refuses one of them.
        """
        if not self.ahead_of_time:
            return
        config.num_compute_capabilities = len(capabilities)
        for i, capability in enumerate(capabilities):
            member = self.trt.ComputeCapability.__members__[f"SM{capability}"]
            if not config.set_compute_capability(member, i):
                raise ExecutorError(
                    f"{self.title} refuses the target sm{capability}",
                    expected=", ".join(f"sm{known}" for known in self.known_capabilities()),
                    found=f"sm{capability}",
                    do="leave it out of --target",
                )

    def load_plugin(self, library: Path) -> tuple[str, ...]:
        """Register the creators of a plugin library; the names of all that are known then."""
        registry = self.trt.get_plugin_registry()
        registry.load_library(str(library))
        return tuple(sorted(creator.name for creator in registry.all_creators))
