"""Writes docs/report.png: the report of the sample company, as a browser shows it.

Needs the packages of `gp-to-crm[dev]`, chromium and chromedriver. Without arguments it makes the sample's report first.
Of another report: `python docs/screenshot.py report.html --out report.png --width 380 --dark --whole`.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "report.png"
HEIGHT = 760


def main(arguments: list[str] | None = None) -> int:
    """Takes the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", nargs="?", type=Path, help="the page; without it that of the sample company")
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="the whole page instead of its beginning")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        page = chosen.report or _sample(Path(folder))
        picture = take(page, chosen.width, "dark" if chosen.dark else "light", whole=chosen.whole)
    chosen.out.write_bytes(picture)
    print(f"{chosen.out}: {len(picture) / 1000:.0f} kB")
    return 0


def take(page: Path, width: int, scheme: str = "light", *, whole: bool = False) -> bytes:
    """The page as PNG."""
    driver = _browser()
    try:
        command = driver.execute_cdp_cmd
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 500}
        command("Emulation.setDeviceMetricsOverride", size)
        command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        driver.get(page.resolve().as_uri())
        height = driver.execute_script("return document.documentElement.scrollHeight") if whole else HEIGHT
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        options = {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": False, "clip": clip}
        return base64.b64decode(command("Page.captureScreenshot", options)["data"])
    finally:
        driver.quit()


def _browser() -> Any:
    from selenium import webdriver

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, names)), "")
    flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    if os.name == "posix" and os.geteuid() == 0:
        flags.append("--no-sandbox")
    for flag in flags:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def _sample(folder: Path) -> Path:
    """The report after the demo, in a warehouse of its own."""
    environ = {
        **os.environ,
        "GP_CRM_DUCKDB_PATH": str(folder / "demo.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
    }
    page = folder / "report.html"
    for arguments in (("demo", "-q"), ("report", "--out", str(page), "-q")):
        subprocess.run(
            [sys.executable, "-m", "loader", *arguments, "--project-dir", str(DOCS.parent)],
            env=environ, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return page


if __name__ == "__main__":
    raise SystemExit(main())
