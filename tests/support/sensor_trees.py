"""Roots of systems with the sensor files that they have, by documented layouts and logs of boards.

Orin Nano Super: labels, zones and soctherm counters as logged under L4T 36.5. AGX Orin: rails of
NVIDIA's "Platform Power and Performance" (two INA3221). Thor: devfreq `gpu-gpc-0` and `bwmgr`,
zones and rails as logged under L4T 38; INA238 by the kernel's hwmon documentation. Xavier NX:
JetPack 4's ina3221x. A read that fails, as of a part that is switched off, is a folder in the
file's place.
"""

from __future__ import annotations

from pathlib import Path

from system_trees import memory, put

ORIN_CORE = (
    "processor\t: {0}\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nBogoMIPS\t: 62.50\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd42\n\n"
)
NANO_INA = "sys/class/hwmon/hwmon1"
OVERCURRENT = "sys/class/hwmon/hwmon3"


def ina3221(folder: str, rails: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Files of one chip: (mV, mA) of each rail, and the shunt voltages that come after."""
    files = {f"{folder}/name": "ina3221\n"}
    for channel, (label, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        files[f"{folder}/in{channel}_label"] = f"{label}\n"
        files[f"{folder}/in{channel}_input"] = f"{millivolts}\n"
        files[f"{folder}/curr{channel}_input"] = f"{milliamperes}\n"
        files[f"{folder}/in{channel + 3}_input"] = "15\n"
    files[f"{folder}/in7_label"] = "sum of shunt voltages\n"
    files[f"{folder}/in7_input"] = "45\n"
    files[f"{folder}/curr4_crit"] = "32760\n"
    return files


def zones(temperatures: dict[str, int]) -> dict[str, str]:
    """Thermal zones in millidegrees."""
    files = {}
    for number, (name, value) in enumerate(temperatures.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = f"{name}\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = f"{value}\n"
    return files


def coolers(states: dict[str, int]) -> dict[str, str]:
    """Cooling devices and how much each is in use."""
    files = {}
    for number, (name, state) in enumerate(states.items()):
        files[f"sys/class/thermal/cooling_device{number}/type"] = f"{name}\n"
        files[f"sys/class/thermal/cooling_device{number}/cur_state"] = f"{state}\n"
    return files


def clock(folder: str, hertz: int) -> dict[str, str]:
    """One clock of devfreq, free to move."""
    texts = {"cur_freq": hertz, "min_freq": 306_000_000, "max_freq": hertz}
    return {f"sys/class/devfreq/{folder}/{name}": f"{value}\n" for name, value in texts.items()}


def processor(policies: dict[int, int], governor: str = "schedutil") -> dict[str, str]:
    """cpufreq: kHz by the first core of each cluster."""
    files = {}
    for core, khz in policies.items():
        folder = f"sys/devices/system/cpu/cpufreq/policy{core}"
        files[f"{folder}/scaling_cur_freq"] = f"{khz}\n"
        files[f"{folder}/scaling_governor"] = f"{governor}\n"
    return files


def orin_nano(root: Path) -> Path:
    """MAXN_SUPER, clocks fixed; the zones of the switched-off CV engines do not answer."""
    put(
        root,
        {
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081\n",
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit "
            "Super\x00",
            "proc/cpuinfo": "".join(ORIN_CORE.format(core) for core in range(6)),
            "proc/meminfo": memory(7_620, 5_000),
            "proc/loadavg": "0.52 0.58 0.59 1/389 12345\n",
            "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n"
            "< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
            "var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n",
            "dev/nvmap": "",
            **ina3221(
                NANO_INA,
                {"VDD_IN": (5016, 1856), "VDD_CPU_GPU_CV": (5016, 456), "VDD_SOC": (5016, 488)},
            ),
            "sys/class/hwmon/hwmon0/name": "pwmfan\n",
            f"{OVERCURRENT}/name": "soctherm_oc\n",
            f"{OVERCURRENT}/oc1_event_cnt": "0\n",
            f"{OVERCURRENT}/oc2_event_cnt": "15\n",
            f"{OVERCURRENT}/oc3_event_cnt": "37\n",
            f"{OVERCURRENT}/oc3_throt_en": "1\n",
            **zones(
                {
                    "cpu-thermal": 50_906,
                    "gpu-thermal": 49_187,
                    "soc0-thermal": 48_500,
                    "tj-thermal": 51_250,
                    "cv1-thermal": -256_000,  # what older kernels say of what is off
                }
            ),
            "sys/class/thermal/thermal_zone5/type": "cv0-thermal\n",
            **coolers({"pwm-fan": 2, "cpu-throttle-alert": 0, "gpu-throttle-alert": 0}),
            **clock("17000000.gpu", 1_020_000_000),
            "sys/kernel/nvpmodel_clk_cap/emc": "3199000000\n",
            **processor({0: 1_728_000, 4: 1_728_000}),
        },
    )
    (root / "sys/class/thermal/thermal_zone5/temp").mkdir()
    return root


def agx_orin(root: Path) -> Path:
    """Two chips, and no rail that is the whole; seen through the i2c driver alone."""
    drivers = "sys/bus/i2c/drivers/ina3221"
    return put(
        root,
        {
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\x00",
            **ina3221(
                f"{drivers}/1-0040/hwmon/hwmon3",
                {
                    "VDD_GPU_SOC": (19_000, 300),
                    "VDD_CPU_CV": (19_000, 100),
                    "VIN_SYS_5V0": (5_000, 1_000),
                },
            ),
            **ina3221(
                f"{drivers}/1-0041/hwmon/hwmon4",
                {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5_000, 200)},
            ),
            **clock("17000000.gpu", 612_000_000),
        },
    )


def thor(root: Path) -> Path:
    """An INA238 for the whole beside the INA3221, whose GPU rail reads below zero at idle."""
    return put(
        root,
        {
            "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\x00",
            "var/lib/dpkg/status": "Package: nvidia-l4t-core\nVersion: 38.2.0-20250821174705\n",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
            "var/lib/nvpmodel/status": "pmode:0001 fmode:fanNull\n",
            **ina3221(
                "sys/class/hwmon/hwmon2",
                {
                    "VDD_GPU": (12_000, -33),
                    "VDD_CPU_SOC_MSS": (12_000, 540),
                    "VIN_SYS_5V0": (5_000, 1_304),
                },
            ),
            "sys/class/hwmon/hwmon4/name": "ina238\n",
            "sys/class/hwmon/hwmon4/in0_input": "1\n",
            "sys/class/hwmon/hwmon4/in1_input": "19500\n",
            "sys/class/hwmon/hwmon4/curr1_input": "1180\n",
            "sys/class/hwmon/hwmon4/power1_input": "23010000\n",
            "sys/class/hwmon/hwmon4/temp1_input": "39000\n",
            **zones({"tj-thermal": 55_100, "soc012-thermal": 55_000, "cpu-thermal": 53_700}),
            **clock("gpu-gpc-0", 1_575_000_000),
            **clock("bwmgr", 4_266_000_000),
        },
    )


def xavier_nx_jetpack_4(root: Path) -> Path:
    """The older driver: milliwatts below iio, beside the fixed zone of the power chip."""
    folder = "sys/bus/i2c/drivers/ina3221x/7-0040/iio:device0"
    files = {}
    for channel, (name, milliwatts) in enumerate(
        {"VDD_IN": 4_200, "VDD_CPU_GPU_CV": 900, "VDD_SOC": 1_100}.items()
    ):
        files[f"{folder}/rail_name_{channel}"] = f"{name}\n"
        files[f"{folder}/in_power{channel}_input"] = f"{milliwatts}\n"
        files[f"{folder}/in_voltage{channel}_input"] = "5000\n"
    return put(root, files | zones({"PMIC-Die": 100_000, "AO-therm": 38_000}))


def pc(root: Path) -> Path:
    """An AMD desktop: the processor's sensor, the mainboard's constant zone, no power sensor."""
    chip = "sys/class/hwmon/hwmon2"
    return put(
        root,
        {
            "proc/cpuinfo": "".join(
                f"processor\t: {core}\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 33\n"
                "model name\t: AMD Ryzen 9 5900X 12-Core Processor\ncpu MHz\t\t: 3700.000\n\n"
                for core in range(2)
            ),
            "sys/class/dmi/id/sys_vendor": "ASUS\n",
            "sys/class/dmi/id/product_name": "System Product Name\n",
            f"{chip}/name": "k10temp\n",
            f"{chip}/temp1_input": "45250\n",
            f"{chip}/temp1_label": "Tctl\n",
            **zones({"acpitz": 16_800}),
            **processor(dict.fromkeys(range(24), 3_700_000), "performance"),
        },
    )
