"""The benchmarks work: each of our clients gives a sample. What it costs is for make bench."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
from benchmarks import bench, report
from benchmarks.sampling import NoSampleError, take
from benchmarks.server import serving
from benchmarks.workloads import BACKENDS, CLIENTS_FOLDER, RAW, WORKLOADS

SMALL = {workload.name: replace(workload, count=20 if workload.place else 100, concurrency=5) for workload in WORKLOADS}
OURS = [client for client in WORKLOADS[0].clients if client.ours]
LIBRARIES = {"curl": "pycurl"}


@pytest.fixture(scope="module")
def servers():
    with serving() as servers:
        yield servers


def installed(client) -> bool:
    backend = client.name.removeprefix("alone-")
    return all(find_spec(name) is not None for name in (LIBRARIES.get(backend, backend), f"fastreq_jupyter.backends.{backend}"))


@pytest.mark.parametrize("client", OURS, ids=lambda client: client.name)
def test_each_of_our_clients_gives_a_sample(servers, client):
    if not installed(client):
        pytest.skip("its library is not installed")
    figures = take(client, SMALL["200b"], servers)
    assert figures["count"] == figures["kept"] == 20
    assert figures["cpu"] > 0
    assert figures["wall"] > 0
    assert figures["peak_kib"] > 1000


@pytest.mark.kernel
def test_a_client_gives_a_sample_within_a_kernel(servers):
    client = next(client for client in SMALL["kernel"].clients if client.name == "aiohttp")
    assert take(client, SMALL["kernel"], servers)["kept"] == 20


@pytest.mark.parametrize(("workload", "client"), [(name, client) for name in ("frame", "start") for client in SMALL[name].clients])
def test_what_sends_nothing_gives_a_sample(servers, workload, client):
    count = 100 if workload == "frame" else 1
    assert take(client, replace(SMALL[workload], count=count), servers)["cpu"] > 0


def test_a_client_without_its_environment_is_told(servers, tmp_path):
    client = replace(OURS[0], environment=str(tmp_path))
    with pytest.raises(NoSampleError, match="environment"):
        take(client, SMALL["200b"], servers)


def test_every_script_of_the_tables_is_there():
    clients = [client for workload in WORKLOADS for client in workload.clients]
    assert not [client for client in clients if not (CLIENTS_FOLDER / client.script).exists()]
    assert {client.name for client in clients if client.ours} >= set(BACKENDS)


def test_every_reference_takes_part_in_its_workload():
    for workload in WORKLOADS:
        names = {client.name for client in workload.clients}
        assert set(workload.references.values()) <= names


def sample(cpu):
    return {"count": 100, "kept": 100, "cpu": cpu, "wall": cpu, "peak_kib": 2048, "held_kib": 100}


def test_the_ratio_is_to_the_sample_of_the_same_round():
    measured = {"clients": {RAW: {"samples": [sample(1.0), sample(2.0)]}, "curl": {"samples": [sample(0.5), sample(0.5)]}}}
    assert report.ratios(WORKLOADS[0], measured, "curl") == [0.5, 0.25]


def test_the_page_shows_figures_and_what_could_not_be_measured():
    clients = {
        RAW: {"samples": [sample(1.0)], "failure": None},
        "curl": {"samples": [sample(0.5)], "failure": None},
        "fastreq2": {"samples": [], "failure": "its environment could not be made"},
    }
    machine = {"cores": 2, "cpu": "a processor", "system": "Linux", "python": "3.11", "server": "nginx", "versions": {"aiohttp": "3"}}
    workloads = {"200b": {"clients": clients, "count": 100, "rounds": 1, "date": "2026-11-03"}}
    page = report.markdown({"machine": machine, "workloads": workloads})
    assert "| **fastreq-jupyter, curl** | 0.50 | 0.50 | 0.50 | 5,000 | 5,000 | 2 |" in page
    assert "| fastreq 2.0.2 | not measured: its environment could not be made |" in page
    assert "| **fastreq-jupyter, curl** | 0.50 |" in report.short({"machine": machine, "workloads": workloads})


def test_a_selection_brings_its_reference_along():
    chosen = bench.chosen(WORKLOADS[0], clients="curl alone-*", rounds=3, quick=False)
    assert [client.name for client in chosen.clients] == [RAW, "curl", *(f"alone-{backend}" for backend in BACKENDS)]
    assert chosen.rounds == 3


def test_the_readme_has_a_place_for_the_table(root):
    assert report.MARK.search((root / "README.md").read_text(encoding="utf-8"))
