"""One function over many pieces of work: here, in processes, or on a cluster that is already running.

Processes are loky's, clusters are Dask's or Ray's. Results come in the order of the pieces and do not depend on the
engine.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.threads import one_thread

LOCAL = "local"
ENGINES = "local, dask://HOST:PORT or ray://HOST:PORT"
INSTALL = {"dask": "pip install 'dask[distributed]'", "ray": "pip install 'ray[client]'"}
SECONDS_TO_CONNECT = 20
SHORT_WORK_SECONDS = 300  # of audio: less than this is done faster in one process than processes start
LONG_WORK_SECONDS = 6.0  # of work: less is done faster in one process than processes start
SECONDS_BETWEEN_LOOKS = 1.0  # of a worker, whether its parent is there
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
AHEAD = 4  # pieces for each worker that are sent or done, but not yet taken

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Submit = Callable[[Callable, Any], Callable[[], Any]]  # function, piece -> what waits for the result


def available_cores() -> int:
    """Cores that this process may use; a batch system often grants fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_jobs(jobs: int | None) -> None:
    """Raise PtselError unless `jobs` is None (all cores) or at least 1."""
    if jobs is not None and jobs < 1:
        raise PtselError(f"--jobs: expected a number of processes from 1, found {jobs}")


def jobs_for_audio(seconds: float, jobs: int | None) -> int:
    """How many processes work on so many seconds of audio: `jobs` (None: all cores), or 1 where little is to do."""
    return 1 if seconds < SHORT_WORK_SECONDS else jobs or available_cores()


def check_engine(engine: str) -> None:
    """Raise PtselError unless `engine` is one of `ENGINES`."""
    kind, _, address = engine.partition("://")
    if engine != LOCAL and (kind not in INSTALL or not address):
        raise PtselError(f"--engine: expected {ENGINES}, found {engine!r}")


def map_ordered(
    function: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    engine: str = LOCAL,
    jobs: int | None = None,
) -> Iterator[Result]:
    """``map(function, pieces)``, computed by many workers; few pieces and results are held at a time.

    Args:
        function: importable by the workers. In them it runs with one thread.
        pieces: what it is called with; must be possible to pickle unless this process does the work.
        engine: `ENGINES`. A cluster repeats the pieces of a worker that it loses.
        jobs: processes of ``local``; default, all cores. 1 means this process.

    Raises:
        PtselError: an engine that is unknown, not installed or not reachable, or lost worker processes.
    """
    check_jobs(jobs)
    check_engine(engine)
    jobs = jobs or available_cores()
    if engine == LOCAL and jobs == 1:
        yield from map(function, pieces)
        return
    connect = {"local": _processes, "dask": _dask, "ray": _ray}[engine.partition("://")[0]]
    with connect(engine, jobs) as (submit, workers):
        waiting: deque[Callable[[], Result]] = deque()
        for piece in pieces:
            waiting.append(submit(function, piece))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


def map_where_faster(
    function: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    seconds: Callable[[Piece], float],
    total: float,
    jobs: int | None = None,
) -> Iterator[Result]:
    """`map_ordered` on this machine, in this process until it is seen that all cores would be done sooner.

    Args:
        function: importable by other processes. It runs with one thread.
        pieces: what it is called with, possible to pickle.
        seconds: of audio in a piece: what is left is expected to take as long for each as what was done. The first
            piece, which may load a model, tells nothing.
        total: seconds of audio in all pieces.
        jobs: processes; default, all cores if that is faster, otherwise this one.

    Raises:
        PtselError: lost worker processes.
    """
    if jobs is not None or available_cores() == 1:
        yield from map_ordered(function, pieces, jobs=jobs)
        return
    left, done, taken = total, 0.0, 0.0
    waiting = iter(pieces)
    for number, piece in enumerate(waiting):
        if done and taken / done * left > LONG_WORK_SECONDS:
            yield from map_ordered(function, chain([piece], waiting))
            return
        begun = time.perf_counter()
        result = _one_thread(function, piece)
        left -= seconds(piece)
        if number:
            taken, done = taken + time.perf_counter() - begun, done + seconds(piece)
        yield result


def _one_thread(function: Callable[[Piece], Result], piece: Piece) -> Result:
    """Workers share the cores between them already, and results must not depend on how many there are."""
    with one_thread():
        return function(piece)


def _on_dask(function: Callable[[Piece], Result], piece: Piece) -> Result:
    _keep_memory()
    return _one_thread(function, piece)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Let this process keep some memory for its next arrays, as it would if dask had not set it otherwise.

    By MALLOC_TRIM_THRESHOLD_ dask lets its workers give back all they can, and then every array of some hundred kB is
    new memory, which the system clears first: scores took twice as long.
    """
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):  # a system without glibc
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that glibc takes by itself, as arrays come and go
        library.mallopt(M_TRIM_THRESHOLD, 2**26)


def _start_process(parent: int) -> None:
    """Prepare a worker process, which ends with its parent, even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C the parent stops its processes
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Without this a worker whose parent was killed would wait for its next piece, and hold its memory, for ever."""
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


@contextlib.contextmanager
def _processes(engine: str, jobs: int) -> Iterator[tuple[Submit, int]]:
    import loky

    # Not forked: a fork of a process in which torch has started threads can hang.
    pool = loky.ProcessPoolExecutor(
        jobs, initializer=_start_process, initargs=(os.getpid(),), env={"OMP_NUM_THREADS": "1"}
    )
    done = False
    try:
        yield lambda function, piece: pool.submit(_one_thread, function, piece).result, jobs
        done = True
    except loky.process_executor.BrokenProcessPool:
        raise PtselError(
            "a worker process ended early, perhaps for lack of memory; what is finished is kept, run again "
            "with fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=done, kill_workers=not done)


@contextlib.contextmanager
def _dask(engine: str, jobs: int) -> Iterator[tuple[Submit, int]]:
    with _reachable(engine):
        from distributed import Client

        client = Client(engine.replace("dask://", "tcp://"), timeout=SECONDS_TO_CONNECT, set_as_default=False)
    with client, warnings.catch_warnings():
        # A piece travels with its task, so that the scheduler can send both again.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        workers = sum(client.nthreads().values())
        if not workers:
            raise PtselError(
                f"--engine {engine}: the cluster has no workers; start some (`dask worker ADDRESS`)"
            )
        yield lambda function, piece: client.submit(_on_dask, function, piece, pure=False).result, workers


@contextlib.contextmanager
def _ray(engine: str, jobs: int) -> Iterator[tuple[Submit, int]]:
    with _reachable(engine):
        import ray

        ray.init(engine, log_to_driver=False, logging_level=logging.WARNING)
    try:
        task: Any = ray.remote(_one_thread)

        def submit(function: Callable, piece: Any) -> Callable[[], Any]:
            reference = task.remote(function, piece)
            return lambda: _ray_result(reference)

        yield submit, int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


def _ray_result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # what the function raised, without the worker's traceback around it


@contextlib.contextmanager
def _reachable(engine: str) -> Iterator[None]:
    kind = engine.partition("://")[0]
    try:
        yield
    except ImportError:
        raise PtselError(f"--engine {engine}: {kind} is not installed here; {INSTALL[kind]}") from None
    except (OSError, ValueError) as error:
        raise PtselError(
            f"--engine {engine}: no cluster answers there ({error}); start one, or take --engine local"
        ) from None
