"""A device from what a firmware's build leaves: linker script, map file, Keil scatter file, CMSIS-Pack.

`describe` reads them and returns the text of a device file; one module per format finds the regions.
"""

from mcuprof.hardware.firmware.describe import Identity, describe

__all__ = ["Identity", "describe"]
