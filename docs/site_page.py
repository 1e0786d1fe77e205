"""Builds dbt's documentation of this project as one page that any web server, or a browser alone, can show.

python docs/site_page.py [DIRECTORY]

dbt's own lineage shows every unit test and every test that is a file as a node of its own, which hides the flow: they
are left out of the page's copy of the manifest. Tests of columns stay, as marks on their columns. All else is as `dbt
docs generate` makes it, with the environment's target.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).resolve().parent.parent
EDGES = ("#006f8a", "#027599")
"""dbt's colours of the lineage's edges, which hardly stand out from its background."""
LIGHT = "#8fd0e0"


def main(argv: list[str] | None = None) -> int:
    """Writes index.html into the directory, `site` if none is given."""
    arguments = sys.argv[1:] if argv is None else argv
    site = Path(arguments[0]) if arguments else PROJECT / "site"
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        place = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", directory]
        done = dbtRunner().invoke(["--quiet", "docs", "generate", *place])
        if not done.success:
            print("dbt docs generate failed: build the project first, with `dbt build`.", file=sys.stderr)
            return 1
        manifest, catalog = (_read(target / name) for name in ("manifest.json", "catalog.json"))
        page = (target / "index.html").read_text(encoding="utf-8")
    site.mkdir(parents=True, exist_ok=True)
    (site / "index.html").write_text(
        with_data(with_light_edges(page), without_tests(manifest), catalog), encoding="utf-8", newline="\n"
    )
    print(f"Written to {site / 'index.html'}.")
    return 0


def without_tests(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with nothing but sources, seeds, models, exposures and tests of columns."""

    def stays(unique_id: str) -> bool:
        kind = unique_id.partition(".")[0]
        if kind == "test":
            return bool(manifest["nodes"][unique_id].get("test_metadata"))
        return kind not in ("unit_test", "operation")

    return {
        **manifest,
        "nodes": {name: node for name, node in manifest["nodes"].items() if stays(name)},
        "unit_tests": {},
        **{
            each: {name: list(filter(stays, others)) for name, others in manifest[each].items() if stays(name)}
            for each in ("parent_map", "child_map")
        },
    }


def with_light_edges(page: str) -> str:
    """dbt's page with edges that can be seen."""
    for colour in EDGES:
        page = page.replace(f'"line-color":"{colour}"', f'"line-color":"{LIGHT}"')
        page = page.replace(f'"target-arrow-color":"{colour}"', f'"target-arrow-color":"{LIGHT}"')
    return page


def with_data(page: str, manifest: dict[str, Any], catalog: dict[str, Any]) -> str:
    """dbt's page with its two files inside it. Raises LookupError where dbt's page has no place for them."""
    for place, content in (("MANIFEST", manifest), ("CATALOG", catalog)):
        marked = f'"{place}.JSON INLINE DATA"'
        if marked not in page:
            raise LookupError(f"dbt's page has no place {marked}.")
        page = page.replace(marked, json.dumps(content).replace("</", "<\\/"))
    return page


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main())
