"""Shards on a cluster of several local Ray nodes, one of which is killed under way."""

import threading
import time

import pytest

import gansynth_server as gs
from gansynth_server.offline.shards import cluster
from gansynth_server.offline.shards.run import Device
from gansynth_server.util.threads import set_threads
from tests.offline.test_shards import a_plan, content, render

ray = pytest.importorskip("ray")
DEVICE = Device("cpu", "eager", "float32", 1)
STORE = 80 << 20
"""Bytes for objects on each node."""


@pytest.fixture
def nodes():
    """A cluster whose head renders nothing, and two nodes with a worker each."""
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE}
    )
    workers = [made.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    yield made, workers
    ray.shutdown()
    made.shutdown()


def test_a_node_that_is_killed_loses_no_note(tiny, tmp_path, nodes):
    made, workers = nodes
    set_threads(1)
    model = gs.load("all_instruments", "cpu")
    plan = a_plan(model, count=1000, size=20, duration=0.5)
    render(model, plan, tmp_path / "one")
    folder, reported = tmp_path / "many", []
    killed: list[int] = []

    def kill() -> None:
        while len(list(folder.glob("*.tar"))) < 5:
            time.sleep(0.01)
        killed.append(len(list(folder.glob("*.tar"))))
        made.remove_node(workers[0], allow_graceful=False)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    cluster.run(model.checkpoint, plan, DEVICE, folder, reported.append, made.address)
    thread.join(10)
    assert killed and killed[0] < 50
    assert sum(reported) == 1000
    assert content(folder) == content(tmp_path / "one")


def test_no_cluster_there(tiny, tmp_path):
    model = gs.load("all_instruments", "cpu")
    with pytest.raises(gs.UserError, match="no Ray cluster"):
        cluster.run(model.checkpoint, a_plan(model), DEVICE, tmp_path / "x", print, "127.0.0.1:9")
