"""`run_parallel`: independent runs of one function on the executors, side by side, with the results returned."""

from __future__ import annotations

import pickle
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfspark_cnn.cluster import application, map_fun_payload, policy, server_port, slots
from tfspark_cnn.cluster.attempts import driver_address
from tfspark_cnn.cluster.node_plan import RunOptions
from tfspark_cnn.cluster.run_arguments import OnError, args_of_runs, check
from tfspark_cnn.cluster.run_coordinator import RunCoordinator
from tfspark_cnn.cluster.run_job import RunJob
from tfspark_cnn.cluster.run_task import RunTask
from tfspark_cnn.cluster.runs import Run, Runs
from tfspark_cnn.errors import JobError, MapFunError, RunTimeout, TFSparkError


def run_parallel(
    sc: Any,
    map_fun: Callable[[Any, Any], Any] | str,
    args: Any = None,
    num: int | None = None,
    *,
    each: Sequence[Any] | None = None,
    barrier: bool = False,
    on_error: str = OnError.RAISE,
    retries: int = 0,
    timeout_s: float | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda metrics: None,
    gpus_per_run: int | None = None,
    resource_profile: Any = None,
    model_dir: str | None = None,
    log_dir: str | None = None,
    node_env: Mapping[str, str] | None = None,
) -> list[Any]:
    """Runs `map_fun(args, ctx)` several times, each alone in a process of its own, and gives what the runs returned.

    For work that needs no all-reduce: trials of hyper-parameters, scoring of files, one network for each customer. As
    many runs as there are free slots are under way at a time, on disjoint slots and GPUs; the others follow as slots
    come free. There is no `TF_CONFIG`, and `ctx.strategy()` is of one node (`run_context.RunContext`).

    A run begins once. It begins again, with `retries`, where it was ended from outside, and never where map_fun raised
    or its process ended by itself. That Spark tries tasks again changes nothing about it.

    Args:
        sc: a SparkContext or SparkSession.
        map_fun: called in each run as `map_fun(args, ctx)`; a picklable function, or `"package.module:function"`.
        args: what map_fun gets as `args` in every run.
        num: how many runs; may be left out with `each`.
        each: what map_fun gets as `args` in each run, in place of `args`.
        barrier: whether all runs start together or not at all, as by default in TensorFlowOnSpark's TFParallel.
        on_error: `raise` ends all runs when one fails, and raises its error; `return` lets the others go on, and gives
            the error in the place of the result.
        retries: how often each run may begin again after its executor was lost, or a signal ended its process, as the
            out-of-memory killer's. `ctx.attempt` counts, and checkpoints in `ctx.model_dir` let training go on. Spark
            gives up the job where it loses one task `spark.task.maxFailures` times (4; once with a `local` master).
        timeout_s: seconds after which runs that have not ended are ended; None: none.
        progress: called from a background thread with each `ctx.report(...)` of a run, as a dict with its name under
            `node`. It should return soon.
        gpus_per_run: GPUs of each run; None: all that Spark assigned to its task.
        resource_profile: a `pyspark.resource.ResourceProfile` for the runs.
        model_dir: where models and checkpoints go, each run's into the folder `run-<number>` of it.
        log_dir: where event files go, likewise.
        node_env: environment variables for the processes.

    Returns:
        What map_fun returned, in the order of the runs; with `on_error="return"` an exception where one failed.

    Raises:
        ConfigError: the arguments cannot be. Nothing was started; as in the next two.
        SlotsError: with `barrier`, Spark has fewer slots than there are runs.
        MapFunError: map_fun or its args cannot be pickled; or, from a run, it does not exist, or its result cannot be.
        NodeError: a run failed; `error.node` names it, as `run:3`. Errors of this package come as they were raised.
        RunTimeout: runs had not ended after `timeout_s`.
        JobError: Spark failed the job of the runs.

    Example:
        >>> rates = [0.1, 0.01, 0.001]
        >>> losses = run_parallel(spark, trial, each=[{"rate": rate} for rate in rates])      # doctest: +SKIP
    """
    spark = application.of_this_python(sc)
    shares = args_of_runs(args, num, each)
    mode = check(on_error=on_error, retries=retries, timeout_s=timeout_s, barrier=barrier, gpus_per_run=gpus_per_run)
    payloads = _payloads(map_fun, shares)
    profile = resource_profile or application.gpu_profile(spark, {"run": gpus_per_run})
    if barrier:
        slots.check(spark.sparkContext, nodes=len(shares), feeders=0, profile=profile, what="run")
    secret, (public, bind) = secrets.token_urlsafe(32), driver_address(spark)
    runs = Runs(len(shares), retries=retries, speculative=_speculative(spark))
    coordinator = _coordinator(runs, payloads, secret=secret, hosts=(public, bind), progress=progress)
    options = RunOptions(
        run_id=f"tfspark-runs-{secrets.token_hex(4)}",
        coordinator=coordinator.location,
        secret=secret,
        fed=False,
        model_dir=model_dir,
        log_dir=log_dir,
        default_fs=application.default_fs(spark),
        extra_env=dict(node_env or {}),
        likeness=map_fun_payload.likeness(map_fun),
    )
    with RunJob(spark, RunTask(len(shares), options, gpus_per_run), coordinator, profile, barrier) as job:
        error = _waited(job, mode, timeout_s)
        if mode is OnError.RAISE and error is not None:
            raise error
    return [_result(run, runs, mode, error) for run in runs.by_number.values()]


def _payloads(map_fun: Any, shares: Sequence[Any]) -> list[bytes]:
    """Pickles for each run; args that are one and the same object are pickled once."""
    known: dict[int, bytes] = {}
    for share in shares:
        if id(share) not in known:
            known[id(share)] = map_fun_payload.pickled(map_fun, share)
    return [known[id(share)] for share in shares]


def _speculative(spark: Any) -> bool:
    return (spark.sparkContext.getConf().get("spark.speculation") or "false").lower() == "true"


def _coordinator(runs: Runs, payloads: list[bytes], *, hosts: tuple[str, str], **how: Any) -> RunCoordinator:
    public, bind = hosts
    return server_port.listening(
        lambda port: RunCoordinator(runs, payloads, bind_host=bind, public_host=public, port=port, **how), bind=bind
    )


def _waited(job: RunJob, mode: OnError, timeout_s: float | None) -> TFSparkError | None:
    """Waits for the runs; gives what went wrong with one, or with all that have not ended."""

    def over(runs: Runs) -> bool:
        return runs.done or (mode is OnError.RAISE and bool(runs.failures))

    met, runs = job.wait(over, timeout_s=timeout_s), job.coordinator.runs
    if met:
        return next((policy.to_error(failure, runs.topology) for failure in runs.failures), None)
    now_s = time.monotonic()
    left = [runs.where(run.number, now_s=now_s) for run in runs.by_number.values() if not run.done]
    if job.coordinator.job_ended:
        return JobError(
            f"Spark ended the job of the runs: {job.coordinator.job_failure or 'it was cancelled'}; these had not "
            f"ended: {', '.join(left)}",
            hint="look at the Spark UI and the executors' logs",
        )
    return RunTimeout(
        f"after {timeout_s:g} s these of {runs.count} runs had not ended: {', '.join(left)}",
        hint="raise timeout_s, give Spark more slots, or pass on_error='return' to keep what the others returned",
    )


def _result(run: Run, runs: Runs, mode: OnError, error: TFSparkError | None) -> Any:
    """Gives what a run returned, or its error; where it has neither, what went wrong with all that had not ended."""
    if run.failure is not None:
        return policy.to_error(run.failure, runs.topology)
    if run.result is None:
        return error
    try:
        return pickle.loads(run.result)  # noqa: S301  from our own process, by a call with the secret
    except Exception as cause:  # what its import raises is the user's
        failure = MapFunError(
            f"what map_fun returned cannot be unpickled on the driver: {type(cause).__name__}: {cause}",
            hint="its modules must be installed on the driver too; or return numbers, strings, arrays, lists and dicts",
            node=runs.name(run.number),
        )
        if mode is OnError.RETURN:
            return failure
        raise failure from cause
