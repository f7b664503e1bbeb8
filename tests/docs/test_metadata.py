"""What a package index is told: links that lead somewhere, with and without a public address of the project."""

from __future__ import annotations

import re
import runpy
import shutil

import pytest
import setuptools
from conftest import ROOT

from ptsel_fairseq.base.version import __version__

ADDRESS = "https://git.example.org/group/project"


@pytest.fixture
def metadata(tmp_path, monkeypatch):
    """What setup.py gives to setuptools, where CITATION.cff has these lines too."""

    def given(*lines):
        for file in ("setup.py", "README.md", "ptsel_fairseq/base/version.py"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, tmp_path / file)
        citation = re.sub("^repository-code:.*\n", "", (ROOT / "CITATION.cff").read_text(), flags=re.M)
        (tmp_path / "CITATION.cff").write_text("\n".join([citation.rstrip(), *lines]) + "\n")
        told = {}
        monkeypatch.setattr(setuptools, "setup", told.update)
        runpy.run_path(str(tmp_path / "setup.py"))
        return told

    return given


def targets(page):
    """Where links and pictures lead."""
    return re.findall(r"\]\(([^)]*)\)", page)


@pytest.mark.parametrize("line", [f"repository-code: {ADDRESS}", f'repository-code: "{ADDRESS}/"'])
def test_with_an_address_links_and_pictures_lead_to_the_files_of_the_version(line, metadata):
    told = metadata(line)
    page = told["long_description"]
    assert told["project_urls"]["Homepage"] == ADDRESS
    assert (
        f"![audio, label store, scores, weights, training, export]({ADDRESS}/raw/v{__version__}/docs/flow.svg)"
        in page
    )
    own = [target for target in targets(page) if target.startswith(ADDRESS)]
    assert len(own) > 20
    for target in own:
        path = re.sub(rf"^{ADDRESS}/(raw|blob)/v{__version__}/", "", target).partition("#")[0]
        assert (ROOT / path).exists(), target
    for target in targets(page):
        assert target.startswith(("https://", "#")), target
    assert len(own) == sum(not t.startswith("https:") for t in targets((ROOT / "README.md").read_text()))


def test_without_an_address_no_link_leads_nowhere(metadata):
    told = metadata()
    for target in targets(told["long_description"]):
        assert target.startswith("https://"), target
    assert "![" not in told["long_description"]
    assert "docs/labels.md" in told["long_description"]  # its name stays
    assert all(address.startswith("https://arxiv.org/") for address in told["project_urls"].values())


def test_the_page_installs_by_name(metadata):
    page = metadata()["long_description"]
    assert "pip install ptsel_fairseq   " in page
    assert "pip install 'ptsel_fairseq[fairseq]'" in page
    assert not re.search(r"pip install '?\.", page)


def test_the_citation_names_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
