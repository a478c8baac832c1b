"""Floor 1: the device database. Schema, look-up and validation of `device_db/`; knows nothing of graphs."""

from mcuprof.hardware.database import (
    database_path,
    device_db_version,
    find_id,
    is_device_path,
    list_devices,
    list_parts,
    load_accelerator,
    load_core,
    load_device,
    load_npu_systems,
)
from mcuprof.hardware.device import Accelerator, Block, Calibration, Core, Device, NpuSetting, Region, RegionKind
from mcuprof.hardware.files import Problem
from mcuprof.hardware.npu import ArrayTiles, EthosU, NpuSystems
from mcuprof.hardware.resolve import default_kernels

__all__ = [
    "Accelerator",
    "ArrayTiles",
    "Block",
    "Calibration",
    "Core",
    "Device",
    "EthosU",
    "NpuSetting",
    "NpuSystems",
    "Problem",
    "Region",
    "RegionKind",
    "database_path",
    "default_kernels",
    "device_db_version",
    "find_id",
    "is_device_path",
    "list_devices",
    "list_parts",
    "load_accelerator",
    "load_core",
    "load_device",
    "load_npu_systems",
]
