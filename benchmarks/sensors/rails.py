"""Power rails of a Jetson: INA3221 and INA238 below sysfs.

Layouts (NVIDIA's "Platform Power and Performance", the kernel's hwmon documentation):
  hwmon  name (ina3221, ina238), in<N>_label, in<N>_input in mV, curr<N>_input in mA; INA238 has no
         label of its own, and power1_input in microwatts.
  i2c    bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_<N>, in_power<N>_input in mW: JetPack 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record.lines import Unknown
from benchmarks.sensors.sensor_file import SensorFile, no_permission, open_sensor
from edge.checkups.finding import read_text

HWMON = ("sys/class/hwmon/hwmon*", "sys/bus/i2c/drivers/ina*/*/hwmon/hwmon*")
OLD_I2C = "sys/bus/i2c/drivers/ina3221x/*/iio*device*"
CHIPS = ("ina3221", "ina238")
CHANNELS = (1, 2, 3)  # in4 to in7 of an INA3221 are shunt voltages, not supplies
INPUT = "VIN"  # what an INA238 measures on a Thor, which does not label it
MILLI, MICRO = 1e-3, 1e-6
# What makes up the whole board, by board; the first that is there in full. One that feeds another
# (VIN_SYS_5V0 the memory's rail on an AGX Orin) must not be counted twice.
TOTALS = (
    (INPUT,),  # Thor
    ("VDD_IN",),  # Orin Nano and NX, Xavier NX, TX2
    ("POM_5V_IN",),  # Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor without its INA238
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
)


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply."""

    name: str  # "VDD_IN"
    factors: tuple[SensorFile, ...]  # power is their product: volts and amperes, or watts alone

    def watts(self) -> float | None:
        """Its power now; None: the sensor does not answer."""
        power = 1.0
        for factor in self.factors:
            value = factor.read()
            if value is None:
                return None
            power *= value
        return power


@dataclass(frozen=True, slots=True)
class Supply:
    """The rails that make up the whole board."""

    rails: tuple[Rail, ...]

    @property
    def name(self) -> str:
        """ "VDD_IN", or all of them with a plus between."""
        return " + ".join(rail.name for rail in self.rails)

    def watts(self) -> float | None:
        """Their power now, together; None: one does not answer."""
        parts = [rail.watts() for rail in self.rails]
        return None if None in parts else sum(part for part in parts if part is not None)


def find_supply(root: Path) -> Supply | Unknown:
    """The rails that make up the whole board.

    Unknown where there is none, where this user may not read one, and where those that are there
    are not known to be the whole: a part would pass for all of it.
    """
    try:
        rails = {rail.name: rail for rail in _rails(root)}
    except PermissionError as error:
        return Unknown(no_permission(error))
    if not rails:
        return Unknown("no INA3221 or INA238 in /sys/class/hwmon or /sys/bus/i2c/drivers")
    for names in TOTALS:
        if all(name in rails for name in names):
            return Supply(tuple(rails[name] for name in names))
    return Unknown(f"of the rails {', '.join(rails)} none is known to be the whole board")


def _rails(root: Path) -> Iterator[Rail]:
    """Every rail; a chip that two layouts show comes twice.

    Raises:
        PermissionError: one is there, and not for this user.
    """
    for folder in (folder for pattern in HWMON for folder in sorted(root.glob(pattern))):
        chip = read_text(folder / "name")
        if chip in CHIPS:
            yield from _ina238(folder) if chip == "ina238" else _ina3221(folder)
    for folder in sorted(root.glob(OLD_I2C)):
        for channel in (0, 1, 2):
            name = read_text(folder / f"rail_name_{channel}")
            power = open_sensor(folder / f"in_power{channel}_input", MILLI) if name else None
            if name and power:
                yield Rail(name, (power,))


def _ina3221(folder: Path) -> Iterator[Rail]:
    for channel in CHANNELS:
        name = read_text(folder / f"in{channel}_label")
        if not name or name == "NC":  # not connected
            continue
        volts = open_sensor(folder / f"in{channel}_input", MILLI)
        amperes = open_sensor(folder / f"curr{channel}_input", MILLI)
        if volts and amperes:
            yield Rail(name, (volts, amperes))


def _ina238(folder: Path) -> Iterator[Rail]:
    name = read_text(folder / "in1_label") or read_text(folder / "label") or INPUT
    power = open_sensor(folder / "power1_input", MICRO)
    if power:
        yield Rail(name, (power,))
        return
    volts = open_sensor(folder / "in1_input", MILLI)
    amperes = open_sensor(folder / "curr1_input", MILLI)
    if volts and amperes:
        yield Rail(name, (volts, amperes))
