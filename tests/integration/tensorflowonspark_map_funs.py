"""Programs as users of TensorFlowOnSpark have them, run on nodes. Executors import it by PYTHONPATH."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from pathlib import Path

from tfspark_cnn.errors import TFSparkError
from tfspark_cnn.tensorflowonspark import TFNode, gpu_info


def _write(folder, ctx, **found):
    Path(folder, f"{ctx.job_name}-{ctx.task_index}.json").write_text(json.dumps(found))


def by_argv(argv, ctx):
    """Parses a command line, takes all rows, and ends as main functions do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--out")
    args = parser.parse_args()
    feed, batches = TFNode.DataFeed(ctx.mgr), []
    while not feed.should_stop():
        batches.append(feed.next_batch(args.batch_size))
    _write(
        args.out, ctx,
        argv=argv, batches=batches, executor_id=ctx.executor_id, worker_num=ctx.worker_num,
        num_workers=ctx.num_workers, roles=sorted(ctx.cluster_spec), is_chief=ctx.is_chief,
        path=ctx.absolute_path("model"), released=ctx.tmp_socket is None,
        tensorflow="tensorflow" in sys.modules,
    )  # fmt: skip
    sys.exit(0)


def mapped_then_fail(args, ctx):
    """Takes rows of columns as tensors, and fails when there are no more."""
    feed, batches = ctx.get_data_feed(input_mapping=args.mapping), []
    while not feed.should_stop():
        batches.append(feed.next_batch(args.batch_size))
    _write(args.out, ctx, batches=batches, tensors=feed.input_tensors)
    if ctx.task_index == 1:
        raise ValueError("the export has failed")


def double(args, ctx):
    """Answers each row with twice its value."""
    feed, sizes = TFNode.DataFeed(ctx.mgr, False), []
    while not feed.should_stop():
        batch = feed.next_batch(args["batch_size"])
        sizes.append(len(batch))
        feed.batch_results(2 * row for row in batch)
    _write(args["out"], ctx, sizes=sizes)
    return threading.Lock()  # what map_fun returned was never looked at


def terminate_early(args, ctx):
    """Takes a batch and no more; the evaluator never ends by itself."""
    if ctx.job_name == "evaluator":
        threading.Event().wait()
    feed = ctx.get_data_feed()
    rows = feed.next_batch(3)
    feed.terminate()
    port = ctx.tmp_socket.getsockname()[1]
    in_spec = any(address.endswith(f":{port}") for address in ctx.cluster_spec[ctx.job_name])
    held = _binds(port)
    ctx.release_port()
    _write(
        args["out"], ctx,
        rows=rows, after=feed.next_batch(1), stopped=feed.should_stop(), in_spec=in_spec,
        held=not held, released=_binds(port), left=ctx.tmp_socket, log_dir=ctx.log_dir,
    )  # fmt: skip


def take_rows(args, ctx):
    """Takes so many rows of a stream, and no more."""
    feed, rows = ctx.get_data_feed(), []
    while len(rows) < args["rows"] and not feed.should_stop():
        rows += feed.next_batch(5)
    feed.terminate()
    _write(args["out"], ctx, rows=rows)


def alone(args, ctx):
    """One of several runs."""
    Path(args["out"], f"run-{ctx.worker_num}.json").write_text(
        json.dumps([ctx.executor_id, ctx.num_workers, ctx.absolute_path("/x"), os.environ.get("TF_CONFIG")])
    )
    if args.get("fail") == ctx.worker_num:
        raise ValueError("no such file")


def _binds(port):
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def use_what_is_gone(args, ctx):
    """Uses what TensorFlow 1 had; gives what it says."""
    said = []
    for call in (
        lambda: ctx.start_cluster_server(1),
        lambda: ctx.export_saved_model(None, "/tmp/x", "serve", {}),
        lambda: ctx.mgr.get_queue("input"),
        lambda: TFNode.next_batch(ctx.mgr, 10),
        lambda: gpu_info.get_gpus(1),
    ):
        try:
            call()
        except TFSparkError as error:
            said.append(f"{type(error).__name__}: {error}")
    _write(args["out"], ctx, said=said, version=TFNode.TF_VERSION, cuda=os.environ["CUDA_VISIBLE_DEVICES"])
