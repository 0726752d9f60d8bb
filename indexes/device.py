"""Asks the CUDA driver for devices without importing torch (1 ms instead of 1.6 s)."""

from __future__ import annotations

import ctypes
from functools import cache


@cache
def cuda_devices() -> int:
    """Return how many CUDA devices the driver shows; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@cache
def cuda_memory() -> int:
    """Return the bytes of memory that the first CUDA device has in all; 0 where there is none."""
    if not cuda_devices():
        return 0
    driver, device, size = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0), ctypes.c_size_t(0)
    if driver.cuDeviceGet(ctypes.byref(device), 0) != 0 or driver.cuDeviceTotalMem_v2(ctypes.byref(size), device) != 0:
        return 0
    return size.value
