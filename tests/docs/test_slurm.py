"""The SLURM script, with SLURM's two commands played by short scripts: what each node gives to fairseq."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml
from conftest import BIN, ROOT

pytest.importorskip("fairseq", reason="the script starts the extra [fairseq]")
pytestmark = pytest.mark.slow

# Every node runs the task, and instead of training fairseq shows what it was given.
SRUN = """#!/usr/bin/env bash
shift
for node in 0 1; do SLURM_NODEID=$node "${@:1:4}" --cfg job "${@:5}" > "$OUT/node$node.yaml"; done
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = "show hostnames gpu[07-08]" ] && printf 'gpu07\\ngpu08\\n'
"""


def test_two_nodes_of_four(tmp_path):
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    slurm = {
        "SLURM_JOB_NODELIST": "gpu[07-08]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_JOB_ID": "123456",
        "SLURM_SUBMIT_DIR": str(ROOT),
    }
    paths = {"DATA": "/corpus/data", "STORE": "/corpus/store", "RUN": "/runs/base"}
    done = subprocess.run(
        [str(ROOT / "examples" / "slurm" / "pretrain.sbatch"), "optimization.max_update=7"],
        env={
            **os.environ,
            **slurm,
            **paths,
            "PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}",
            "OUT": str(tmp_path),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for node, rank in ((0, 0), (1, 4)):
        cfg = yaml.safe_load((tmp_path / f"node{node}.yaml").read_text())
        assert cfg["distributed_training"]["distributed_rank"] == rank
        assert cfg["distributed_training"]["distributed_world_size"] == 8
        assert cfg["distributed_training"]["distributed_num_procs"] == 4
        assert cfg["distributed_training"]["distributed_init_method"] == "tcp://gpu07:23456"
        assert cfg["optimization"]["update_freq"] == [8]
        assert cfg["optimization"]["max_update"] == 7
        assert cfg["task"]["store"] == "/corpus/store"
        assert cfg["checkpoint"]["save_dir"] == "/runs/base"
        assert cfg["common"]["user_dir"].endswith("ptsel_fairseq")


def test_without_a_store_it_says_what_is_missing(tmp_path):
    done = subprocess.run(
        [str(ROOT / "examples" / "slurm" / "pretrain.sbatch")],
        env={**os.environ, "DATA": "/corpus/data"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "STORE: the label store" in done.stderr
