"""Results as Markdown tables and as a picture."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.workloads import BODY_BYTES, RAW, ROOT, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.workloads import Workload

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "benchmarks.png"
README = ROOT / "README.md"
MARK = re.compile(r"(<!-- measured: speed -->\n).*?(<!-- end -->)", re.DOTALL)
SHORT = ("200b", "10kb", "1mb", "h2", "50ms")
HEADINGS = {"200b": "200 B", "10kb": "10 KB", "1mb": "1 MB", "h2": "HTTP/2, TLS", "50ms": "50 ms latency"}
MIB = 1024
LARGE = 100

Results = dict[str, Any]


def write(results: Results) -> None:
    """Write docs/benchmarks.md, its picture, and the short table between the README's markers."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(markdown(results), encoding="utf-8")
    draw(results)
    text = README.read_text(encoding="utf-8")
    README.write_text(MARK.sub(lambda mark: mark[1] + short(results) + mark[2], text), encoding="utf-8")


def markdown(results: Results, names: Sequence[str] = ()) -> str:
    """Return the page, with all workloads or the named."""
    shown = [workload for workload in WORKLOADS if workload.name in results["workloads"] and (not names or workload.name in names)]
    parts = ["# Benchmarks", _conditions(results), f"![CPU time beside an aiohttp worker pool, log scale]({PICTURE.name})"]
    parts += [_section(workload, results["workloads"][workload.name]) for workload in shown]
    return "\n\n".join(parts) + "\n"


def short(results: Results) -> str:
    """Return the README's table: medians only."""
    shown = [workload for workload in WORKLOADS if workload.name in SHORT and workload.name in results["workloads"]]
    if not shown:
        return "not measured yet\n"
    lines = ["| | " + " | ".join(HEADINGS[workload.name] for workload in shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for client in shown[0].clients:
        if client.shown:
            cells = [_middle(workload, results["workloads"][workload.name], client.name) for workload in shown]
            lines.append(f"| {client.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + f"\n\n{_machine_line(results)}\n"


def ratios(workload: Workload, measured: Mapping[str, Any], client: str) -> list[float]:
    """Return the ratio of each round: to the reference's sample of that round, or to the ideal time."""
    samples = measured["clients"].get(client, {"samples": []})["samples"]
    if workload.place == "latency":
        return [sample["wall"] / (workload.ideal() * sample["count"] / workload.count) for sample in samples]
    reference = measured["clients"].get(workload.reference(client), {"samples": []})["samples"]
    return [_each(workload, ours) / _each(workload, theirs) for ours, theirs in zip(samples, reference, strict=False)]


def _each(workload: Workload, sample: Mapping[str, float]) -> float:
    return sample[workload.measure] / sample["count"]


def _conditions(results: Results) -> str:
    return (
        f"{_machine_line(results)}\n\n"
        "The server has one core, the client another. Each sample is a process of its own, the clients take turns; imports and a warm-up on"
        " another port are not counted. CPU time is user and system time of the client's process. Ratios are to the aiohttp worker pool of"
        " the same round, which only reads and keeps bytes; fastreq-jupyter gives a DataFrame with timings and parsed JSON, fastreq a list of parsed JSON. Lower is better."
    )


def _machine_line(results: Results) -> str:
    machine = results["machine"]
    dates = sorted({measured["date"] for measured in results["workloads"].values()})
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return (
        f"Measured {when}: {machine['cores']} cores ({machine['cpu']}), {machine['system']}, Python {machine['python']},"
        f" server {machine['server']}; {versions}."
    )


def _section(workload: Workload, measured: Mapping[str, Any]) -> str:
    plural = "rounds" if measured["rounds"] > 1 else "round"
    number = f"{measured['count']:,} requests a sample, " if workload.place else ""
    return "\n".join([f"## {_capital(workload.title)}", "", f"{number}{measured['rounds']} {plural}.", "", *_table(workload, measured)])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(workload: Workload, measured: Mapping[str, Any]) -> Iterator[str]:
    unit = "ms" if not workload.place else "us a request"
    against = "ideal" if workload.place == "latency" else "reference"
    heads = ["client", f"{workload.measure.upper() if workload.measure == 'cpu' else workload.measure} / {against}: min", "median", "max"]
    heads += [f"CPU, {unit}", f"wall, {unit}", "peak MiB"]
    heads += ["KiB a row beyond the body"] if workload.per_row else []
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for client in workload.clients:
        entry = measured["clients"].get(client.name)
        if entry is None:
            continue
        if entry["failure"]:
            yield f"| {client.title} | not measured: {_cell(entry['failure'])} |" + " |" * (len(heads) - 2)
        else:
            yield f"| {client.title} | " + " | ".join(_figures(workload, measured, client.name, entry["samples"])) + " |"


def _figures(workload: Workload, measured: Mapping[str, Any], client: str, samples: list[dict[str, float]]) -> Iterator[str]:
    compared = ratios(workload, measured, client)
    yield from (f"{pick(compared):.2f}" if compared else "" for pick in (min, median, max))
    scale = 1e6 if workload.place else 1e3
    for measure in ("cpu", "wall"):
        value = median(sample[measure] / (sample["count"] if workload.place else 1) for sample in samples) * scale
        yield f"{value:,.0f}" if value >= LARGE else f"{value:.1f}"
    yield f"{median(sample['peak_kib'] for sample in samples) / MIB:.0f}"
    if workload.per_row:
        yield f"{median(sample['held_kib'] / sample['count'] for sample in samples) - BODY_BYTES / 1024:.2f}"


def _middle(workload: Workload, measured: Mapping[str, Any], client: str) -> str:
    compared = ratios(workload, measured, client)
    return f"{median(compared):.2f}" if compared else "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def draw(results: Results) -> None:
    """Draw the README's workloads: a dot for the median, a line from least to most."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    shown = [workload for workload in WORKLOADS if workload.name in SHORT and workload.name in results["workloads"]]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.6 * len(shown) + 2.4, 5.2), sharey=True, squeeze=False, layout="constrained")
    for axis, workload in zip(axes[0], shown, strict=True):
        _draw_workload(axis, workload, results["workloads"][workload.name])
    figure.suptitle(
        "CPU time beside an aiohttp worker pool by hand (= 1)\nleft is better, log scale; 50 ms latency: wall time / ideal", fontsize=11
    )
    figure.supxlabel(_machine_line(results).partition(";")[0], fontsize=8)
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


def _draw_workload(axis: Any, workload: Workload, measured: Mapping[str, Any]) -> None:
    clients = [client for client in reversed(workload.clients) if client.shown]
    for row, client in enumerate(clients):
        compared = ratios(workload, measured, client.name)
        if compared:
            colour = "tab:red" if client.ours else "black" if client.name == RAW else "tab:gray"
            axis.plot([min(compared), max(compared)], [row, row], color=colour, linewidth=2)
            axis.plot(median(compared), row, "o", color=colour, markersize=6)
            axis.annotate(f"{median(compared):.2g}", (median(compared), row), (0, 6), textcoords="offset points", ha="center", fontsize=7)
    axis.axvline(1, color="black", linewidth=0.6, linestyle=":")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_title(HEADINGS[workload.name], fontsize=10)
    axis.set_yticks(range(len(clients)), [client.title.strip("*") for client in clients], fontsize=8)
    axis.margins(x=0.2, y=0.06)
