"""Runs a kernel of PTX in numpy, all threads at once: as much of the language as ours needs.

Independent of the source it was compiled from: what is committed is what runs here. Unknown
instructions, branches backwards and misaligned addresses are refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

Values = np.ndarray  # one for each thread
TYPES = {
    **{f"{kind}{bits}": f"{'i' if kind == 's' else 'u'}{bits // 8}"
       for kind in "sub" for bits in (8, 16, 32, 64)},
    "f16": "f2", "f32": "f4",
}  # fmt: skip
COMPARISONS = {each: getattr(operator, each) for each in ("ge", "gt", "le", "lt", "eq", "ne")}


class UnknownPtxError(Exception):
    """Something that this machine does not know."""


@dataclass(frozen=True)
class PtxHeader:
    """For which drivers and GPUs a module is."""

    version: tuple[int, int]
    target: int  # 75

    @staticmethod
    def parse(text: str) -> PtxHeader:
        """Out of the first lines of a module."""
        major, minor = re.search(r"\.version\s+(\d+)\.(\d+)", text).groups()
        return PtxHeader((int(major), int(minor)), int(re.search(r"\.target\s+sm_(\d+)", text)[1]))


@dataclass(frozen=True)
class PtxKernel:
    """One entry of a module."""

    parameters: tuple[tuple[str, np.dtype], ...]
    lines: tuple[str, ...]

    @staticmethod
    def parse(text: str, entry: str) -> PtxKernel | None:
        """None: there is no such entry."""
        text = re.sub(r"//[^\n]*", "", text)
        found = re.search(
            rf"\.entry\s+{entry}\s*\((.*?)\)\s*(?:\.\w+[^\n]*\s*)*\{{(.*)\}}", text, re.S
        )
        if found is None:
            return None
        parameters = re.findall(r"\.param\s+\.(\w+)\s+(\w+)", found[1])
        body = found[2].translate({ord("{"): " ", ord("}"): " "})
        body = re.sub(r"(\$\w+):", r"\1:;", body)
        lines = (" ".join(each.split()) for each in body.split(";"))
        return PtxKernel(
            tuple((name, np.dtype(TYPES[kind])) for kind, name in parameters),
            tuple(each for each in lines if each and not each.startswith(".reg")),
        )


@dataclass
class PtxMachine:
    """One launch.

    `view(address, size)` gives the bytes there, and refuses what is no memory.
    """

    view: Callable[[int, int], Values]
    registers: dict[str, Values] = field(default_factory=dict)

    def run(
        self, kernel: PtxKernel, blocks: Sequence[int], threads: int, arguments: Sequence[bytes]
    ) -> None:
        """Launch a grid [x, y] of blocks of so many threads in a row."""
        columns, rows = blocks
        count = columns * rows * threads
        index = np.arange(count, dtype=np.uint32)
        self.registers |= {
            "%tid.x": index % np.uint32(threads),
            "%ctaid.x": index // np.uint32(threads) % np.uint32(columns),
            "%ctaid.y": index // np.uint32(threads * columns),
            "%ntid.x": np.full(count, threads, np.uint32),
        }
        for (name, dtype), given in zip(kernel.parameters, arguments, strict=True):
            self.registers[name] = np.full(count, np.frombuffer(given, dtype)[0])
        labels = {line[:-1]: at for at, line in enumerate(kernel.lines) if line.endswith(":")}
        resume = np.zeros(count, np.int64)  # where a thread goes on that has jumped
        for at, line in enumerate(kernel.lines):
            if line.endswith(":"):
                continue
            active = resume <= at
            if guard := re.match(r"@(!?)(%\w+) (.*)", line):
                active = active & (self.registers[guard[2]] ^ bool(guard[1]))
                line = guard[3]
            name, _, rest = line.partition(" ")
            if name == "ret":
                resume[active] = len(kernel.lines)
            elif name == "bra":
                if labels[rest] <= at:
                    raise UnknownPtxError(f"a branch backwards: {line}")
                resume[active] = labels[rest]
            else:
                with np.errstate(over="ignore"):
                    self._do(name, [each.strip() for each in rest.split(",")], active)

    def _do(self, name: str, operands: list[str], active: Values) -> None:
        verb, *kinds = name.split(".")
        target, *given = operands
        if verb == "st" and kinds[0] == "global":
            self._store(target, self._read(given[0], kinds[1])[active], active)
            return
        made = np.zeros(len(active), TYPES.get(kinds[-1], "u8"))
        if verb == "ld" and kinds[0] == "param":
            made = self._read(given[0].strip("[]"), kinds[1])
        elif verb == "ld" and kinds[0] == "global":
            wide = {"s8": "i2", "u8": "u2"}.get(
                kinds[1], TYPES[kinds[1]]
            )  # no register is narrower
            made = np.zeros(len(active), wide)
            made[active] = self._load(given[0], np.dtype(TYPES[kinds[1]]), active)
        elif verb == "mov" or (verb, kinds[:2]) == ("cvta", ["to", "global"]):
            made = self._read(given[0], kinds[-1])
        elif verb == "cvt":
            to, of = kinds[-2:]
            if kinds[:-2] not in ([], ["rn"]) or (of[0] == "f" and to[0] != "f"):
                raise UnknownPtxError(name)
            made = self._read(given[0], of).astype(TYPES[to])
        elif verb == "setp":
            made = COMPARISONS[kinds[0]](*(self._read(each, kinds[1]) for each in given))
        elif (verb, kinds[0]) in (("mul", "wide"), ("mad", "lo"), ("mul", "lo")):
            values = [self._read(each, kinds[1]) for each in given]
            if kinds[0] == "wide":
                values = [each.astype(np.uint64) for each in values]
            made = values[0] * values[1] + (values[2] if verb == "mad" else 0)
        elif (verb, len(kinds)) in (("add", 1), ("mul", 1), ("shl", 1)):
            act = {"add": np.add, "mul": np.multiply, "shl": np.left_shift}[verb]
            made = act(*(self._read(each, kinds[0]) for each in given))
        else:
            raise UnknownPtxError(name)
        before = self.registers.get(target)
        self.registers[target] = made if before is None else np.where(active, made, before)

    def _read(self, operand: str, kind: str) -> Values:
        """A register or a number, its low bits taken as of a type."""
        dtype = np.dtype(TYPES[kind])
        if operand not in self.registers:
            return np.array(int(operand), dtype)
        held = self.registers[operand]
        if held.dtype.itemsize < dtype.itemsize:
            raise UnknownPtxError(f"{operand} is narrower than {kind}")
        if held.dtype.itemsize > dtype.itemsize:
            held = held.astype(f"u{dtype.itemsize}")
        return held.view(dtype)

    def _load(self, operand: str, dtype: np.dtype, active: Values) -> Values:
        lying, offsets = self._lying(operand, dtype.itemsize, active)
        each_byte = lying[offsets[:, None] + np.arange(dtype.itemsize)]  # [threads, bytes]
        return np.ascontiguousarray(each_byte).view(dtype)[:, 0]

    def _store(self, operand: str, values: Values, active: Values) -> None:
        size = values.dtype.itemsize
        lying, offsets = self._lying(operand, size, active)
        if len(np.unique(offsets)) != len(offsets):
            raise UnknownPtxError(f"two threads write to one address: {operand}")
        lying[offsets[:, None] + np.arange(size)] = values[:, None].view(np.uint8)

    def _lying(self, operand: str, size: int, active: Values) -> tuple[Values, Values]:
        """The memory between the least and the greatest address of a register, and where in it."""
        base, _, offset = operand.strip("[]").partition("+")
        addresses = self._read(base, "u64")[active] + np.uint64(int(offset or 0))
        if not addresses.size:
            return np.zeros(0, np.uint8), np.zeros(0, np.int64)
        if (addresses % np.uint64(size)).any():
            raise UnknownPtxError(f"a misaligned address: {operand}")
        first = int(addresses.min())
        offsets = (addresses - np.uint64(first)).astype(np.int64)
        return self.view(first, int(offsets.max()) + size), offsets
