"""The wheel, installed where the source tree is not: what a user of the package gets."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from loader import __version__

PROJECT = Path(__file__).resolve().parents[2]
BUILDS_WHEELS = Version("78.1.1")
PACKAGES = ("loader", "emulator", "sample", "bench")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the source tree, without the network."""
    if Version(version("setuptools")) < BUILDS_WHEELS:
        pytest.skip("setuptools is older here than pyproject.toml asks for")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source)
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(source))
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    paths = {"base": str(folder), "platbase": str(folder)}
    libraries, programs = (Path(sysconfig.get_path(name, "venv", vars=paths)) for name in ("purelib", "scripts"))
    pip("--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel))
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return programs


def pip(*arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, *quiet], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run(folder: Path, program: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CRM_", "GP_CRM_"))}
    done = subprocess.run(
        [str(program), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        path.relative_to(PROJECT).as_posix()
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
    }
    assert needed - held == set()
    others = {name.split("/")[0] for name in held - needed if not name.endswith(".md")}
    assert all(name.endswith(".dist-info") for name in others), others


def test_it_runs_outside_the_source_tree(installed: Path, tmp_path: Path) -> None:
    assert run(tmp_path, installed / "loader", "--version").strip().endswith(__version__)
    told = run(tmp_path, installed / "loader", "--help")
    assert "push" in told
    assert "Traceback" not in told


def test_its_emulator_serves_the_sample_that_came_with_it(installed: Path, tmp_path: Path) -> None:
    """CRM's metadata and the sample's rows are data files of the wheel."""
    code = (
        "import loader; print(loader.__file__); from emulator import Emulator; from sample import organisation\n"
        "with Emulator(snapshot=organisation.snapshot()) as crm: print(len(crm.rows('account')))"
    )
    place, accounts = run(tmp_path, installed / "python", "-c", code).split()
    assert Path(place).is_relative_to(installed.parent)
    with (PROJECT / "sample" / "crm" / "account.csv").open(encoding="utf-8", newline="") as file:
        assert int(accounts) == len(list(csv.DictReader(file)))


def test_dbts_project_has_the_loaders_version() -> None:
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    assert settings["version"] == __version__
