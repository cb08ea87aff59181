"""A plan inside Spark and Ray, counted at the server: `make clusters`.

Usage: python engines.py spark|ray. Each engine has an environment of its own; no test, since they take minutes to install.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
from serving.counting import CountingServer

from fastreq_jupyter import partition_plan

PARTITIONS, ROWS = 8, 80
KEEP = {"id": "Int64"}
SCHEMA = {"path": "string"}


def check(engine: str, server: CountingServer, answers: pd.DataFrame, *, most: float | None = None) -> None:
    """Compare what came with what was asked, and print what the server counted."""
    assert sorted(answers["id"]) == list(range(PARTITIONS * ROWS)), "rows were lost or doubled"
    assert answers["ok"].all()
    assert (answers["path"] == "/ok/" + answers["id"].astype(str)).all()
    doubles = sum(number - 1 for number in server.paths.values())
    within = server.most_within(5.0)
    print(f"{engine}: {len(answers)} rows, {len(server.arrivals)} requests, {doubles} sent twice, {within} in any 5 s at most", flush=True)
    assert most is None or within <= most


def spark(server: CountingServer, folder: Path) -> None:
    """Run Spark in local mode: two tasks at once, each tried four times."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable

    session = (
        SparkSession.builder.master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    frame = session.range(0, PARTITIONS * ROWS, numPartitions=PARTITIONS)

    def send(**options: object) -> pd.DataFrame:
        plan = partition_plan(f"{server.url}/ok/{{{{ id }}}}", schema=SCHEMA, keep=KEEP, columns="all", timings=True, **options)
        return frame.mapInPandas(plan.iterator, plan.spark_schema).toPandas()

    check("spark, rate", server, send(rate_limit="100/s", share=2), most=525)
    server.reset()
    plan = partition_plan(f"{server.url}/ok/{{{{ id }}}}", keep=KEEP)
    assert frame.where("id < 0").mapInPandas(plan.iterator, plan.spark_schema).toPandas().empty
    assert not server.arrivals
    server.delay = 0.02
    killer = killing(server, "pyspark", "daemon")
    check("spark, a Python worker killed", server, send(journal=folder / "spark", concurrency=2))
    killer.join()
    session.stop()


def ray(server: CountingServer, folder: Path) -> None:
    """Run Ray with two workers."""
    import ray as engine

    engine.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    engine.data.DataContext.get_current().enable_progress_bars = False
    frame = engine.data.from_pandas([pd.DataFrame({"id": range(at * ROWS, (at + 1) * ROWS)}) for at in range(PARTITIONS)])

    def send(**options: object) -> pd.DataFrame:
        plan = partition_plan(f"{server.url}/ok/{{{{ id }}}}", schema=SCHEMA, keep=KEEP, columns="all", timings=True, **options)
        return frame.map_batches(plan, batch_format="pandas", batch_size=None).to_pandas()

    check("ray, rate", server, send(rate_limit="100/s", share=2), most=525)
    server.reset()
    server.delay = 0.02
    killer = killing(server, "ray::", "MapBatches")
    check("ray, a worker killed", server, send(journal=folder / "ray", concurrency=2))
    killer.join()
    engine.shutdown()


def killing(server: CountingServer, *words: str) -> threading.Thread:
    """Kill one process that was started by this one and whose command has these words, once it has sent some requests."""

    def kill() -> None:
        while len(server.arrivals) < 100:
            time.sleep(0.02)
        children = descendants(os.getpid())
        victims = [pid for pid, command in children.items() if all(word in command for word in words)]
        # The youngest: Spark's daemon of Python workers is the parent of its workers.
        if victims:
            os.kill(max(victims), signal.SIGKILL)
        print(
            f"killed {children.get(max(victims), '')[:60].strip() if victims else 'nobody: ' + repr(list(children.values()))[:600]}",
            flush=True,
        )

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def descendants(root: int) -> dict[int, str]:
    """Return the processes below one and their commands (Linux)."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except (ValueError, OSError):
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: commands[pid] for pid in found - {root}}


if __name__ == "__main__":
    place = Path(tempfile.mkdtemp())
    with CountingServer() as counting:
        {"spark": spark, "ray": ray}[sys.argv[1]](counting, place)
    shutil.rmtree(place, ignore_errors=True)
