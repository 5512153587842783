"""Nodes that are processes of the driver's host: the ps nodes of `driver_ps_nodes=True`, which hold no slots of Spark.

They live as nodes of Spark tasks do: on a leash, so that they end when the driver does, and with a line to the
coordinator. TensorFlow reaches them under the address by which executors reach the driver.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

from tfspark_cnn import env
from tfspark_cnn.cluster import ports, supervisor, tf_config
from tfspark_cnn.cluster.coordinator import Coordinator
from tfspark_cnn.cluster.messages import Reserved
from tfspark_cnn.cluster.node_plan import NodePlan, RunOptions
from tfspark_cnn.cluster.node_task import command, ended
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.cluster.supervisor import NodeProcess
from tfspark_cnn.cluster.topology import Node
from tfspark_cnn.feed import transport


class DriverNodes:
    """The nodes of a cluster that run on the driver, from the reservation of their ports on.

    Args:
        coordinator: knows all nodes.
        options: common to all nodes.
        nodes: those that run here.
        host: by which others reach them.
    """

    def __init__(self, coordinator: Coordinator, options: RunOptions, nodes: Sequence[Node], *, host: str) -> None:
        self._coordinator, self._options = coordinator, options
        self._topology, self._nodes, self._host = coordinator.state.topology, tuple(nodes), host
        self._held = {node.number: ports.reserve(env.tensorflow_ports()) for node in nodes}
        self._processes: list[NodeProcess] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def addresses(self) -> Mapping[int, str]:
        """Where TensorFlow's servers will listen, as `host:port` by node number."""
        return {
            number: transport.endpoint(self._host, held.number).removeprefix("grpc://")
            for number, held in self._held.items()
        }

    def start(self) -> None:
        """Starts the processes as soon as all other nodes have their addresses; returns at once."""
        for node in self._nodes:
            name = f"{self._options.run_id}-{node.name}"
            thread = threading.Thread(target=self._live, args=(node,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Ends what still runs, and waits until nothing is left."""
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            process.end()
        for thread in self._threads:
            thread.join()
        for held in self._held.values():
            held.release()

    def _live(self, node: Node) -> None:
        coordinator = self._coordinator
        others = [one.number for one in self._topology if one.number not in self._held]
        if not coordinator.wait(_all_reserved(others), timeout_s=None) or coordinator.state.abort_reason:
            return
        addresses = {number: _address(coordinator.state, number) for number in others} | dict(self.addresses)
        plan = self._plan(node, [addresses[number] for number in range(len(self._topology))])
        coordinator.handle(Reserved(node.number, self._host, addresses[node.number], executor="driver"))
        with self._lock:
            if self._closed:
                return
            process = supervisor.start(command(plan), role=node.role, index=node.index)
            self._processes.append(process)
        self._held[node.number].release()  # the process holds it now
        coordinator.handle(ended(node.number, self._host, process.wait()))

    def _plan(self, node: Node, addresses: Sequence[str]) -> NodePlan:
        return NodePlan(
            node=node,
            topology=self._topology,
            spec=tf_config.cluster_spec(self._topology, addresses),
            host=self._host,
            gpus=(),
            payload=b"",  # a ps serves, it calls nothing of the user's
            options=self._options,
            port_fd=self._held[node.number].fd,
            working_dir=os.getcwd(),
        )


def _all_reserved(numbers: Sequence[int]) -> Callable[[ClusterState], bool]:
    return lambda state: all(state.nodes[number].reserved for number in numbers)


def _address(state: ClusterState, number: int) -> str:
    reserved = state.nodes[number].reserved
    assert reserved is not None
    return reserved.address
