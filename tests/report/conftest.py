"""The report of the sample company after some days, and a browser to look at it."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loader.report.figures import report
from tests.conftest import Built, Workbench, open_bench

STRANGE = ['SO"77', "O'BRIEN-1", "<7>", "R&D=7?", "\"'#%+/\\<>&;:,=?*|~77"]
"""Order numbers of the sample that mean something to HTML."""

EVIL = "</script><script>window.injected=1</script>\"'><img src=x onerror=window.injected=1><b>"


@dataclass(frozen=True)
class Pushed:
    bench: Workbench
    page: Path

    @property
    def html(self) -> str:
        return self.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pushed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """Two pushes, a retry, a run that failed; orders with strange numbers held, and the journal's texts hostile."""
    folder = tmp_path_factory.mktemp("report")
    with ExitStack() as stack:
        bench = open_bench(stack, built.as_tables, folder)
        bench.loader("push")
        bench.loader("push")
        bench.loader("retry", "now")
        bench.loader("retry", "hold", *STRANGE)
        bench.execute("update main_journal.retry_queue set message = ? where record_key = 'ORDST2233'", EVIL)
        bench.execute("update main_journal.sync_run set host = ? where command = 'push'", EVIL)
        bench.execute(
            "insert into main_journal.sync_run select * replace (? as run_id, 'error' as outcome, ? as message,"
            " started_at - interval 1 day as started_at, finished_at - interval 1 day as finished_at)"
            " from main_journal.sync_run where command = 'push' order by started_at limit 1",
            "00000000-0000-4000-8000-000000000000",
            "CRM cannot be reached",
        )
        page = folder / "report.html"
        ended = bench.loader("report", "--out", str(page))
        assert ended.exit_code == 0, ended.stderr
        yield Pushed(bench, page)


@pytest.fixture(scope="module")
def content(pushed: Pushed) -> dict[str, Any]:
    with pushed.bench.run() as run:
        return report(run, 30, lambda: dt.datetime(2030, 1, 1, 7))


class Browser:
    """Chromium without a window. Every page is opened anew, and what it asked for and complained of is kept."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self, page: Path, width: int = 1200, scheme: str = "light", media: str = "screen", scripts: bool = True
    ) -> None:
        command = self.driver.execute_cdp_cmd
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        command("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command("Emulation.setEmulatedMedia", {"media": media, "features": features})
        command("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="the Python package selenium is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    binary = next(filter(None, map(shutil.which, names)), None)
    service = shutil.which("chromedriver")
    if binary is None or service is None:
        pytest.skip("no browser: the packages chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    if os.name == "posix" and os.geteuid() == 0:
        flags.append("--no-sandbox")
    for flag in flags:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
