"""Temperatures: thermal zones, and the sensors of a PC's processor, which is no zone everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.record.lines import Unknown
from benchmarks.sensors.sensor_file import SensorFile, no_permission, open_sensor
from edge.checkups.finding import read_text

ZONES = "sys/class/thermal/thermal_zone*"
PROCESSORS = ("coretemp", "k10temp")  # drivers of hwmon for Intel's and AMD's
FIXED = ("PMIC-Die",)  # zones of a constant, on older boards
MILLI = 1e-3
LIMITS_DEG_C = (-50.0, 150.0)  # beyond: what a switched-off part reads as, -256 on an Orin


@dataclass(frozen=True, slots=True)
class Zone:
    """One place that has a temperature."""

    name: str  # "tj-thermal"
    file: SensorFile

    def deg_c(self) -> float | None:
        """Now; None: it does not answer, as that of a part which is switched off."""
        value = self.file.read()
        low, high = LIMITS_DEG_C
        return value if value is not None and low < value < high else None


def find_zones(root: Path) -> tuple[Zone, ...] | Unknown:
    """Every zone; Unknown: there is none, or this user may read none."""
    found: dict[str, Zone] = {}
    refused: PermissionError | None = None
    for name, path in _places(root):
        try:
            file = open_sensor(path, MILLI)
        except PermissionError as error:
            refused = error
            continue
        if file is not None:
            found.setdefault(name, Zone(name, file))
    if found:
        return tuple(found.values())
    if refused is not None:
        return Unknown(no_permission(refused))
    return Unknown("no thermal zone in /sys/class/thermal, no coretemp or k10temp")


def read_zones(zones: tuple[Zone, ...]) -> dict[str, float]:
    """Degrees Celsius of those that answer now, by name."""
    values = ((zone.name, zone.deg_c()) for zone in zones)
    return {name: value for name, value in values if value is not None}


def _places(root: Path) -> list[tuple[str, Path]]:
    places = [
        (name, folder / "temp")
        for folder in sorted(root.glob(ZONES), key=_number)
        if (name := read_text(folder / "type")) and name not in FIXED
    ]
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*"), key=_number):
        chip = read_text(folder / "name")
        if chip in PROCESSORS:
            for path in sorted(folder.glob("temp*_input"), key=_number):
                label = read_text(path.with_name(path.name.replace("_input", "_label")))
                places.append((f"{chip} {label or path.name.partition('_')[0]}", path))
    return places


def _number(path: Path) -> int:
    """ "thermal_zone10" comes after "thermal_zone9"."""
    return int("".join(filter(str.isdigit, path.name)) or 0)
