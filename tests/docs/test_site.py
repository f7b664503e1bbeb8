"""The documentation site builds, without a warning."""

import ast
import re
import sys

import pytest
from conftest import ROOT, run_command


@pytest.mark.slow
def test_the_site_builds_with_every_page_and_a_search(tmp_path):
    out = tmp_path / "site"
    done = run_command("python", ROOT / "tools" / "build_docs.py", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page.relative_to(out).with_suffix("").as_posix() for page in out.rglob("*.html")}
    assert {"index", "search", "api"} <= pages
    missing = {f"docs/{page.stem}" for page in (ROOT / "docs").glob("*.md")} - pages
    assert not missing
    reference = (out / "api.html").read_text()
    assert "ptsel_fairseq.selection.score_labels" in reference
    # Nothing is fetched: neither fonts nor scripts of other hosts.
    for page in out.rglob("*.html"):
        assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=[\"']https?://", page.read_text()), page


@pytest.mark.slow
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import build_docs

    monkeypatch.setattr(build_docs, "ROOT", ROOT)
    stage = build_docs.stage

    def with_a_dead_link(pages):
        stage(pages)
        page = pages / "docs" / "labels.md"
        page.write_text(page.read_text() + "\n[gone](nowhere.md)\n")

    monkeypatch.setattr(build_docs, "stage", with_a_dead_link)
    monkeypatch.setattr(sys, "argv", ["build_docs.py", "--out", str(tmp_path / "site")])
    with pytest.raises(SystemExit, match="faults"):
        build_docs.main()


def test_no_property_begins_with_what_would_be_read_as_its_type():
    """Napoleon takes what stands before a colon in a property's first line for a type and links its words."""
    faults = []
    for path in sorted((ROOT / "ptsel_fairseq").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            decorators = {ast.unparse(each) for each in node.decorator_list}
            first_line = (ast.get_docstring(node) or "").split("\n")[0]
            if decorators & {"property", "cached_property"} and ": " in first_line:
                faults.append(f"{path.relative_to(ROOT)}:{node.lineno}: {first_line}")
    assert not faults, "\n".join(faults)
