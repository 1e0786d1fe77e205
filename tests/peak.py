"""Peak memory of a program in a process of its own, as Linux counts it."""

from __future__ import annotations

TELL_PEAK = """
import sys
with open("/proc/self/status") as status:
    (peak,) = [line.split()[1] for line in status if line.startswith("VmHWM")]
print(int(peak) >> 10, file=sys.stderr)
"""
"""Code that writes the megabytes so far. `getrusage` would count what the test's own process had before, too."""
