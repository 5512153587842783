"""The process of a node: `python -m tfspark_cnn.cluster.node_process`, started by the supervisor in its Spark task.

Reads a pickled `NodePlan` from stdin, runs map_fun (a ps: serves) and writes `{"result": ...}` or `{"error": ...}` to
the result pipe. TensorFlow is not imported before map_fun does it.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle

from tfspark_cnn import env
from tfspark_cnn.cluster import policy, ports, vitals, whole_imports
from tfspark_cnn.cluster.context import NodeContext, serve_variables
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import Abort, Entered, Leave, Returned
from tfspark_cnn.cluster.node_feeds import NodeFeeds
from tfspark_cnn.cluster.node_plan import NodePlan
from tfspark_cnn.cluster.run_context import RunContext
from tfspark_cnn.cluster.supervisor import EXIT_ABORTED, LEAVE_GRACE_S
from tfspark_cnn.cluster.topology import Role
from tfspark_cnn.errors import MapFunError, TFSparkError

log = logging.getLogger(__name__)


def main() -> int:
    """Runs one node and gives the exit status of its process."""
    whole_imports.install()
    plan: NodePlan = pickle.load(sys.stdin.buffer)  # noqa: S301  our parent wrote it to our stdin
    _run(plan, int(env.get("TFSPARK_CNN_RESULT_FD") or "-1"))
    return 0


def _run(plan: NodePlan, result_fd: int) -> None:
    """Runs map_fun between joining the cluster and leaving it in good order, and writes its outcome."""
    link = Link(
        plan.options.coordinator, secret=plan.options.secret, node=plan.node.number, lost=_end_at_once
    )  # fmt: skip
    feeds = NodeFeeds(plan, link)
    may_leave = threading.Event()
    link.on(Abort, lambda message: _end_at_once(message.reason))
    link.on(Leave, lambda _: may_leave.set())
    link.open()
    if not plan.runs:
        vitals.tell(link, gpus=plan.gpus)
    leaving: list[Callable[[], None]] = []
    record = _outcome(plan, link, feeds, may_leave, leaving)
    feeds.map_fun_returned()
    with os.fdopen(result_fd, "wb") as results:
        pickle.dump(record, results)
    if "error" in record:
        _end(1)  # without TensorFlow's own clean-up, which may wait for peers that are being stopped because of us
    link.flush()
    link.send(Returned(plan.node.number, feeds.refused))
    may_leave.wait()  # for the coordinator: all others have returned; losing it ends this process
    for leave in leaving:
        leave()
    link.close()
    feeds.close()
    if plan.node.role is not Role.PS:
        _clean_up()
    _end(0)


def _outcome(
    plan: NodePlan, link: Link, feeds: NodeFeeds, may_leave: threading.Event, leaving: list[Callable[[], None]]
) -> dict[str, Any]:
    ctx = None
    try:
        held = ports.inherited(plan.port_fd)
        if plan.node.role is Role.PS:
            link.send(Entered(plan.node.number, pid=os.getpid()))
            serve_variables(held)
            may_leave.wait()  # for the coordinator: all others have returned; losing it ends this process
            return {"result": cloudpickle.dumps(None)}
        map_fun, args = resolve(plan.payload)
        ctx = (RunContext if plan.runs else NodeContext)(plan, link=link, feeds=feeds, held_port=held)
        link.send(Entered(plan.node.number, pid=os.getpid(), inbox=feeds.location))
        result = {"result": _pickled(map_fun(args, ctx))}
        ctx.finish()
        leaving.append(partial(_in_good_order, ctx.leave))
        ctx.rest()
        return result
    except Exception as error:  # whatever the user's function raises travels to the driver
        if ctx is not None and policy.is_unlike(str(error)):
            ctx.rest()
            may_leave.wait(policy.UNLIKE_S)  # for the coordinator, which ends this process if it finds who did what
        return _as_record(feeds.failure or error, raised=error)
    except SystemExit as error:
        return _as_record(MapFunError(f"map_fun called sys.exit({error.code!r})", hint="return from map_fun instead"))


def _in_good_order(leave: Callable[[], None]) -> None:
    try:
        leave()
    except TFSparkError:  # the results are home already
        log.warning("could not leave in good order", exc_info=True)


def resolve(payload: bytes) -> tuple[Callable[[Any, Any], Any], Any]:
    """Gives map_fun and its args.

    Raises:
        MapFunError: it cannot be unpickled here, or `"module:function"` does not name a callable.
    """
    try:
        map_fun, args = cloudpickle.loads(payload)
    except Exception as error:  # what its import raises is the user's
        raise MapFunError(
            f"map_fun cannot be unpickled on the node: {type(error).__name__}: {error}",
            hint="its modules must be installed on the executors, or shipped by --py-files or --archives",
        ) from error
    return (_named(map_fun) if isinstance(map_fun, str) else map_fun), args


def _named(name: str) -> Callable[[Any, Any], Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise MapFunError(
            f"map_fun {name!r} does not exist: {error}",
            hint="pass 'package.module:function' of a module that is installed on the executors",
        ) from error
    if not callable(found):
        raise MapFunError(f"map_fun {name!r} is a {type(found).__name__}, expected a function of (args, ctx)")
    function: Callable[[Any, Any], Any] = found
    return function


def _pickled(result: Any) -> bytes:
    try:
        body: bytes = cloudpickle.dumps(result)
    except Exception as error:  # pickling runs the user's code
        raise MapFunError(
            f"map_fun returned a {type(result).__name__} that cannot be pickled: {error}",
            hint="return numbers, strings, arrays, or lists and dicts of them; save models to ctx.model_dir",
        ) from error
    return body


def _as_record(error: BaseException, *, raised: BaseException | None = None) -> dict[str, Any]:
    """Gives what travels of an error. `raised` is what map_fun raised because of it, if that is another one."""
    trace = "".join(traceback.format_exception(raised or error))
    if not isinstance(error, TFSparkError):
        message, hint = f"map_fun raised {type(error).__name__}: {error}", None
    else:
        message, hint = error.message, error.hint
        trace = trace.replace(error.cure, "")  # the driver's exception says it, at its end
    return {"error": type(error).__name__, "message": message, "hint": hint, "traceback": trace}


def _end_at_once(reason: str) -> None:
    """Ends this process from whatever thread: TensorFlow cannot be interrupted in the middle of a collective."""
    sys.stderr.write(f"ending: {reason}\n")
    _end(EXIT_ABORTED)


def _end(status: int) -> None:
    _flush()
    os._exit(status)


def _clean_up() -> None:
    """Does what the end of a Python program does for its user, within a limit: waits for threads, runs `atexit`.

    The interpreter itself is not torn down: native threads of Arrow's and TensorFlow's servers that come back into it
    meanwhile would abort the process ("PyGILState_Release ... finalizing"), and neither can be stopped but with it.
    """
    timer = threading.Timer(LEAVE_GRACE_S, lambda: os._exit(0))
    timer.daemon = True
    timer.start()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


if __name__ == "__main__":
    sys.exit(main())
