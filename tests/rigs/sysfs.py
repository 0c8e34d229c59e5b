"""The files below /sys and the /proc/cpuinfo of a Raspberry Pi 4, as far as anybody reads them."""

from __future__ import annotations

from pathlib import Path

CPUS = 4
_KHZ = "600000", "1500000"
_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"


def write_pi(folder: Path) -> None:
    """Write `sys/` and `cpuinfo` into a folder. Without the topology OpenVINO's thread pool crashes under emulation."""
    for name, content in {**_cpus(), **_thermal(), **_model()}.items():
        path = folder / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if content.endswith("\0") else f"{content}\n")
    links = {
        **{f"devices/system/cpu/cpu{cpu}/cpufreq": "../cpufreq/policy0" for cpu in range(CPUS)},
        "class/thermal/thermal_zone0": "../../devices/virtual/thermal/thermal_zone0",
    }
    for name, target in links.items():
        path = folder / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    (folder / "cpuinfo").write_text(_cpuinfo())


def governor(folder: Path) -> Path:
    """Return the file with the governor of every core."""
    return folder / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"


def frequency_limit(folder: Path) -> Path:
    """Return the file with the most that every core may run at, in kHz."""
    return folder / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"


def throttled(folder: Path) -> Path:
    """Return the file in which the firmware says what slows it down, as bits in hexadecimal."""
    return folder / "sys" / _THROTTLED


def write_jetson(folder: Path, status: str = "pmode:0001") -> None:
    """Write what nvpmodel keeps on a Jetson: its modes, and which one was chosen."""
    for name, content in {"etc/nvpmodel.conf": _NVPMODEL, "var/lib/nvpmodel/status": status}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def write_services(folder: Path, status: int = 0) -> None:
    """Write what a phone's `dumpsys` prints of its battery and its heat, into `dumpsys-` and the service's name."""
    (folder / "dumpsys-battery").write_text(_BATTERY)
    (folder / "dumpsys-thermalservice").write_text(_THERMAL.format(status=status))


# As Android 12 prints it.
_BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  level: 85
  scale: 100
  voltage: 4200
  temperature: 312
  technology: Li-ion
"""
_THERMAL = """\
IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=99.0, mType=0, mName=AP, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue=41.5, mType=0, mName=AP, mStatus={status}}}
\tTemperature{{mValue=NaN, mType=3, mName=SKIN, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
"""


# Beginning and end of the file on an Orin Nano; every mode sets some forty values in the same way.
_NVPMODEL = """\
# Copyright (c) NVIDIA
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online

#  < POWER_MODEL ID=9 NAME=COMMENTED_OUT >
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1

< POWER_MODEL ID=1 NAME=25W >
CPU_ONLINE CORE_0 1

< POWER_MODEL ID=2 NAME=MAXN_SUPER >
CPU_ONLINE CORE_0 1

# mandatory section to configure the default mode
< PM_CONFIG DEFAULT=2 >
"""


def _cpus() -> dict[str, str]:
    everyone = f"0-{CPUS - 1}"
    mask = f"{(1 << CPUS) - 1:x}"
    base = "devices/system/cpu"
    files = {f"{base}/{name}": everyone for name in ("possible", "present", "online")}
    files |= {f"{base}/{name}": "" for name in ("offline", "isolated")}
    files[f"{base}/kernel_max"] = "255"
    policy = {
        "scaling_driver": "cpufreq-dt",
        "scaling_governor": "ondemand",
        "scaling_available_governors": "ondemand powersave performance schedutil",
        "scaling_min_freq": _KHZ[0],
        "scaling_max_freq": _KHZ[1],
        "scaling_cur_freq": _KHZ[1],
        "cpuinfo_min_freq": _KHZ[0],
        "cpuinfo_max_freq": _KHZ[1],
        "affected_cpus": " ".join(map(str, range(CPUS))),
    }
    files |= {f"{base}/cpufreq/policy0/{name}": value for name, value in policy.items()}
    for cpu in range(CPUS):
        own = f"{1 << cpu:x}"
        topology = {
            "core_id": str(cpu),
            "physical_package_id": "0",
            "cluster_id": "0",
            "core_cpus": own,
            "core_cpus_list": str(cpu),
            "thread_siblings": own,
            "thread_siblings_list": str(cpu),
            "core_siblings": mask,
            "core_siblings_list": everyone,
            "package_cpus": mask,
            "package_cpus_list": everyone,
        }
        files |= {f"{base}/cpu{cpu}/topology/{name}": value for name, value in topology.items()}
        files[f"{base}/cpu{cpu}/online"] = "1"
        files[f"{base}/cpu{cpu}/regs/identification/midr_el1"] = "0x00000000410fd083"
    node = {"cpumap": mask, "cpulist": everyone, "meminfo": "Node 0 MemTotal: 3884836 kB", "distance": "10"}
    files |= {f"devices/system/node/node0/{name}": value for name, value in node.items()}
    files |= {f"devices/system/node/{name}": "0" for name in ("online", "possible")}
    return files


def _thermal() -> dict[str, str]:
    zone = {
        "type": "cpu-thermal",
        "temp": "48212",
        "mode": "enabled",
        "trip_point_0_temp": "110000",
        "trip_point_0_type": "critical",
    }
    return {f"devices/virtual/thermal/thermal_zone0/{name}": value for name, value in zone.items()}


def _model() -> dict[str, str]:
    base = "firmware/devicetree/base"
    return {
        f"{base}/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        f"{base}/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        _THROTTLED: "0",
    }


def _cpuinfo() -> str:
    fields = {
        "BogoMIPS": "108.00",
        "Features": "fp asimd evtstrm crc32 cpuid",
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": "0xd08",
        "CPU revision": "3",
    }
    blocks = []
    for cpu in range(CPUS):
        lines = {"processor": str(cpu), **fields}
        blocks.append("".join(f"{key}\t: {value}\n" for key, value in lines.items()))
    return "\n".join([*blocks, "Revision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"])
