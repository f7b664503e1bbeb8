"""Build the documentation site from README.md, docs/, the examples' pages and the docstrings. No network.

All pages are copied into one folder that has the repository's layout, so that links between them mean the same here
and on a code hosting site. A link that leads nowhere is an error.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "*.md",
    "LICENSE",
    "CITATION.cff",
    "docs/*",
    "examples/**/*.md",
    "examples/**/LICENSE",
    "examples/**/CREDITS",
)
# Linked from pages, and offered for download.
FILES = (
    "examples/*.py", "examples/*.ipynb", "examples/slurm/*", "examples/*/*.py", "examples/*/*.yaml",
    "examples/*/results/*", "benchmarks/*", "configs/*/*.yaml",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site (default: site)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ptsel-docs-") as folder:
        pages = Path(folder)
        stage(pages)
        options = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "html", "-c", ROOT / "docs" / "site"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *map(str, (*options, pages, arguments.out))], cwd=ROOT
        )
    if done.returncode != 0:
        sys.exit("docs: the site has faults, named above")
    print(f"docs: {arguments.out / 'index.html'}")


def stage(pages: Path) -> None:
    """Copy every page, and what pages link to, with the repository's layout."""
    for pattern in (*PAGES, *FILES):
        for source in sorted(ROOT.glob(pattern)):
            if source.is_file():
                target = pages / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    for source in sorted((ROOT / "docs" / "site").glob("*.md")):
        shutil.copyfile(source, pages / source.name)
    # The README is the first page; its own name would be a second copy of it.
    first = (pages / "README.md").read_text(encoding="utf-8")
    contents = (pages / "index.md").read_text(encoding="utf-8")
    (pages / "index.md").write_text(f"{first}\n{contents}", encoding="utf-8")
    (pages / "README.md").unlink()


if __name__ == "__main__":
    main()
