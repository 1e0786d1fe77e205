"""Runs a command and writes down its time, the processors' time and its peak memory: `launcher.py RESULT COMMAND…`.

A process of its own, and a small one: what a process is measured to have used at its peak includes what the one that
started it was using then.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
with open(sys.argv[1], "w", encoding="utf-8") as file:
    cpu = usage.ru_utime + usage.ru_stime
    json.dump({"seconds": seconds, "cpu": cpu, "peak": usage.ru_maxrss}, file)
process.returncode = os.waitstatus_to_exitcode(status)
sys.exit(process.returncode)
