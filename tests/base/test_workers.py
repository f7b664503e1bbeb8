"""One function over many pieces, by processes and by a real cluster of two workers: the same results, in order."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ptsel_fairseq.base import workers
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.workers import LOCAL, check_jobs, map_ordered, map_where_faster

distributed = pytest.importorskip("distributed")


def gram_trace(x):
    return float(np.linalg.norm(x @ x.T))


def pieces(count=12):
    for number in range(count):
        yield np.random.default_rng(number).standard_normal((30 + number, 7))


def new_pages(_: int) -> int:
    """How often the system has given memory, 4 kB at a time, for 50 arrays of 400 times as much."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for number in range(50):
        np.full(200_000, number, dtype=np.float64)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def process_of(_):
    return os.getpid()


def fail_on_three(number):
    if number == 3:
        raise PtselError("piece 3 is broken")
    return number


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def slow_square(number):
    time.sleep(0.3)
    return number**2


def slow_process_of(_):
    time.sleep(0.05)
    return os.getpid()


def test_long_work_goes_on_in_other_processes_and_short_work_does_not(monkeypatch):
    monkeypatch.setattr(workers, "available_cores", lambda: 2)
    monkeypatch.setattr(workers, "LONG_WORK_SECONDS", 1.0)
    several = range(40)  # 2 s of sleep
    where = list(map_where_faster(slow_process_of, several, lambda _: 10.0, 400.0))
    assert where[:2] == [os.getpid()] * 2
    assert os.getpid() not in where[2:]
    where = list(map_where_faster(slow_process_of, several[:15], lambda _: 10.0, 150.0))
    assert where == [os.getpid()] * 15
    assert list(map_where_faster(process_of, [1], lambda _: 0.0, 0.0)) == [os.getpid()]
    assert list(map_where_faster(process_of, [], lambda _: 1.0, 0.0)) == []
    for jobs, here in ((1, True), (2, False)):  # asked for
        where = list(map_where_faster(process_of, several[:4], lambda _: 1.0, 4.0, jobs))
        assert (set(where) == {os.getpid()}) == here


def test_results_are_the_same_and_in_order_wherever_they_are_made(monkeypatch):
    monkeypatch.setattr(workers, "available_cores", lambda: 2)
    monkeypatch.setattr(workers, "LONG_WORK_SECONDS", 0.0)  # all but two
    assert list(map_where_faster(gram_trace, pieces(), len, 999.0)) == list(map(gram_trace, pieces()))
    with pytest.raises(PtselError, match="piece 3 is broken"):
        list(map_where_faster(fail_on_three, range(9), lambda _: 1.0, 9.0))


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=True
    ) as running:
        yield running


@pytest.fixture(scope="module")
def engine(cluster):
    return cluster.scheduler_address.replace("tcp://", "dask://")


def test_every_engine_gives_the_same_results_in_order(engine):
    here = list(map(gram_trace, pieces()))
    for results in (
        map_ordered(gram_trace, pieces(), jobs=1),
        map_ordered(gram_trace, pieces(), LOCAL, jobs=2),
        map_ordered(gram_trace, pieces(), engine),
    ):
        np.testing.assert_allclose(list(results), here, rtol=1e-12)


def test_a_cluster_takes_no_new_memory_for_each_array(engine):
    """dask lets its workers give back all memory at once, unless they are told otherwise."""
    assert max(map_ordered(new_pages, range(4), engine)) < 5_000


def test_work_is_done_elsewhere(engine):
    assert set(map_ordered(process_of, range(4), jobs=1)) == {os.getpid()}
    for results in (map_ordered(process_of, range(40), LOCAL, 2), map_ordered(process_of, range(40), engine)):
        workers = set(results)
        assert os.getpid() not in workers
        assert len(workers) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_pieces_are_prepared_as_they_are_needed(jobs):
    made = []

    def prepare():
        for number in range(100):
            made.append(number)
            yield number

    results = map_ordered(np.square, prepare(), LOCAL, jobs)
    assert next(results) == 0
    assert len(made) < 20
    results.close()


def test_an_error_in_a_worker_reaches_the_caller(engine):
    for results in (
        map_ordered(fail_on_three, range(9), jobs=2),
        map_ordered(fail_on_three, range(9), engine),
    ):
        with pytest.raises(PtselError, match="piece 3 is broken"):
            list(results)


def test_a_lost_process_is_named():
    with pytest.raises(PtselError, match=r"a worker process ended early.*fewer --jobs"):
        list(map_ordered(die, range(4), jobs=2))


def test_the_work_of_a_lost_worker_is_redone():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=True
    ) as own:
        results = map_ordered(slow_square, range(10), own.scheduler_address.replace("tcp://", "dask://"))
        assert next(results) == 0
        os.kill(next(iter(own.workers.values())).pid, signal.SIGKILL)
        assert list(results) == [number**2 for number in range(1, 10)]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("spark://x:1", "expected local, dask://HOST:PORT or ray://HOST:PORT, found 'spark://x:1'"),
        ("dask", "expected local, dask://"),
        ("dask://", "expected local, dask://"),
    ],
)
def test_an_unknown_engine_is_refused(engine, message):
    with pytest.raises(PtselError, match=message):
        list(map_ordered(gram_trace, pieces(), engine))


def test_a_cluster_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.workers.SECONDS_TO_CONNECT", 1)
    with pytest.raises(PtselError, match=r"dask://127.0.0.1:9: no cluster answers there"):
        list(map_ordered(gram_trace, pieces(), "dask://127.0.0.1:9"))


@pytest.mark.slow
def test_ray(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pytest.importorskip("ray")
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = [
        *ray,
        "start",
        "--head",
        "--num-cpus=2",
        "--include-dashboard=false",
        "--ray-client-server-port=9381",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": 120}
    try:
        subprocess.run(start, check=True, **quiet)
        found = list(map_ordered(np.linalg.norm, pieces(), "ray://127.0.0.1:9381"))  # importable there
        np.testing.assert_allclose(found, list(map(np.linalg.norm, pieces())), rtol=1e-12)
        with pytest.raises(PtselError, match=r"--jobs: expected .* found -1"):
            list(map_ordered(check_jobs, [1, 1, -1], "ray://127.0.0.1:9381"))
    finally:
        subprocess.run([*ray, "stop", "--force"], **quiet)


ORPHANED = """
import os, signal, sys, time
from ptsel_fairseq.base.workers import map_ordered

def report(number):
    with open(f"{sys.argv[1]}/{os.getpid()}", "w"):
        pass
    time.sleep(0 if number else 600)

if __name__ == "__main__":
    list(map_ordered(report, range(8), jobs=2))
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """One that is at work and one that waits for a piece; else each would hold its memory for ever."""
    script, seen = tmp_path / "orphaned.py", tmp_path / "seen"
    script.write_text(ORPHANED)
    seen.mkdir()
    parent = subprocess.Popen([sys.executable, script, seen])
    deadline = time.monotonic() + 120
    while len(list(seen.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [int(file.name) for file in seen.iterdir()]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [worker for worker in workers if is_running(worker)]


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as status:
            return status.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
