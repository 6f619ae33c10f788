"""Processes with a wrong clock: a preloaded library shifts the time of day of the C library."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from tests.conftest import require

_OFFSET = "clock-offset"
# Monotonic clocks are not shifted: on a real machine with a wrong time of day they are right too.
_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static long offset_s(void) {
    static volatile long *shared = 0;
    if (!shared) {
        int file = open(getenv("LD_CLOCK_OFFSET"), O_RDONLY);
        void *mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        if (mapped == MAP_FAILED) abort();
        shared = mapped;
    }
    return *shared;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += offset_s();
    return result;
}
int gettimeofday(struct timeval *time, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(time, zone);
    time->tv_sec += offset_s();
    return result;
}
"""


def skewed_environ(folder: Path, offset_s: int) -> dict[str, str]:
    """Return the environment variables that advance a process's clock by ``offset_s`` seconds.

    Their names begin with ``LD_`` because decoding processes inherit these variables and few others.
    """
    compiler = shutil.which("cc")
    require(compiler, "no C compiler")
    assert compiler
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    set_offset(folder, offset_s)
    return {"LD_PRELOAD": str(library), "LD_CLOCK_OFFSET": str(folder / _OFFSET)}


def set_offset(folder: Path, offset_s: int) -> None:
    """Change the offset of the running processes that were started with ``skewed_environ`` of this folder."""
    with (folder / _OFFSET).open("r+b" if (folder / _OFFSET).exists() else "wb") as file:
        file.write(struct.pack("l", offset_s))
