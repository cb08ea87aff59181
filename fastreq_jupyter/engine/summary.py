"""What a run came to, as small JSON and as one line; where its time went, and which setting would help most."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from fastreq_jupyter.engine.limits import most_in_flight
from fastreq_jupyter.model import SingleAttempt, marks_struct
from fastreq_jupyter.options import show_bytes, show_seconds
from fastreq_jupyter.policy import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastreq_jupyter.engine.progress import Tally
    from fastreq_jupyter.engine.scheduler import Scheduler
    from fastreq_jupyter.model import Attempt, Outcome
    from fastreq_jupyter.options import Options

SHARES = (50, 95, 99)
"""Percentiles that are told of a run."""

_KINDS_SHOWN = 4
# Share of a run's time that an advice must save to be shown where nobody asked for it.
_WORTH_SAYING = 0.2
# One run allows a prediction for at most three times as many requests at once.
_FURTHER = 3
# Above this share of CPU time the thread has no capacity for more requests at once.
_BUSY = 0.8
# A run shorter than this needs no advice.
_WORTH_SECONDS = 1.0


def figures(tally: Tally, scheduler: Scheduler, options: Options, notes: list[str]) -> dict[str, Any]:
    """Return the figures of a run as small JSON."""
    source = scheduler.source
    paging = scheduler.paging
    lines = [*notes, *(f"{count:,} {'body' if count == 1 else 'bodies'} {remark}" for remark, count in list(tally.remarks.items()))]
    if scheduler.stop is not None and scheduler.stop[0] == "auth":
        lines.append(scheduler.stop[1])
    if tally.kept_bytes > 2**30:
        lines.append("more than 1 GiB of bodies is kept in memory: save_to writes them to files")
    if options.verify_ssl is False:
        lines.append("TLS certificates were not verified (verify_ssl=False)")
    if paging is not None:
        lines += paging.notes()
    return {
        "total": tally.total,
        "done": tally.done,
        "ok": tally.ok,
        "failed": tally.failed,
        "errors": dict(tally.errors),
        "cut_off": dict(tally.cut_off),
        "unsent": dict(tally.unsent),
        "elapsed_s": round(tally.elapsed, 3),
        "bytes": tally.bytes,
        "kept_bytes": tally.kept_bytes,
        "attempts": tally.attempts,
        "answered": tally.answered,
        "retried": tally.retried,
        "concurrency": options.concurrency,
        "auto": None if scheduler.auto is None else scheduler.auto.state._asdict(),
        "source_exhausted": source.exhausted and source.error is None and scheduler.stop is None,
        "breaker": {str(origin): host.health.trips for origin, host in list(scheduler.hosts.items()) if host.health.trips},
        "loop_lag_ms": round(tally.lag_s * 1000, 1),
        **({} if paging is None else {"pages": paging.figures()}),
        "notes": lines,
    }


def proof(pages: Mapping[str, Any]) -> list[str]:
    """Return the parts of the closing line that tell whether all pages came."""
    parts = [] if pages["requests"] == 1 else [f"{pages['requests']:,} requests"]
    parts += [f"{pages[name]:,} {name if pages[name] != 1 else name[:-1]}" for name in ("pages", "items")]
    if pages["total"] is not None:
        parts.append(f"total said {pages['total']:,}")
    if pages["distinct"] is not None and pages["distinct"] < pages["items"]:
        why = ": the server's order is not stable, sort by a unique key" if pages["unstable"] else ""
        parts.append(f"{pages['distinct']:,} distinct{why}")
    if pages["short"] and pages["requests"] > 1:
        parts.append(f"{pages['short']:,} short")
    return parts


def quantiles(durations: Iterable[float]) -> list[float]:
    """Return the percentiles of `SHARES`; NaN is left out, nothing gives an empty list.

    By nearest rank, so that each is a duration that was measured, and "95 of 100 took no longer" is true of few as of many.
    """
    values = sorted(value for value in durations if isfinite(value))
    return [values[-(-share * len(values) // 100) - 1] for share in SHARES] if values else []


def _kind(summary: Mapping[str, Any], kind: str, count: int) -> str:
    """Return ``http 503 x2``; of what the run gave up ``cancelled: 4 cut off, 110 not sent``."""
    cut, unsent = summary["cut_off"].get(kind, 0), summary["unsent"].get(kind, 0)
    if not cut + unsent:
        return f"{kind} x{count:,}"
    return f"{kind}: {', '.join(f'{number:,} {what}' for number, what in ((cut, 'cut off'), (unsent, 'not sent')) if number)}"


def closing_line(summary: Mapping[str, Any]) -> str:
    """Return ``orders: 4,997 of 5,000 ok, http 503 x2, timeout x1, 84 s, 12 MB``."""
    name = f"{summary['name']}: " if summary.get("name") else ""
    total = summary["total"] if summary["total"] is not None else summary["done"]
    pages = summary.get("pages")
    parts = [f"{summary['ok']:,} of {total:,} ok"] if pages is None else proof(pages)
    # Ties are sorted by name, so that the same run always gives the same line.
    kinds = sorted(summary["errors"].items(), key=lambda item: (-item[1], item[0]))
    parts += [_kind(summary, kind, count) for kind, count in kinds[:_KINDS_SHOWN]]
    if len(kinds) > _KINDS_SHOWN:
        parts.append(f"others x{sum(count for _, count in kinds[_KINDS_SHOWN:]):,}")
    if summary["retried"]:
        parts.append(f"{summary['retried']:,} {'retry' if summary['retried'] == 1 else 'retries'}")
    parts += [show_seconds(summary["elapsed_s"]), show_bytes(summary["bytes"])]
    auto = summary.get("auto")
    if auto is not None and auto["advice"] is not None:
        parts.append(f"auto came to -c {auto['advice']}")
    advice = summary.get("advice")
    # Fewer retries would be faster but lose answers: `summary` says so, the line does not.
    if advice is not None and advice.get("option") != "max_retries" and advice["gain"] > _WORTH_SAYING:
        saved = advice["gain"] * summary["elapsed_s"]
        if saved >= _WORTH_SECONDS:
            parts.append(advice["text"])
    return name + ", ".join(parts)


class Circumstances(NamedTuple):
    """What is known of a run besides its outcomes.

    Attributes:
        started: When it began, seconds of `time.perf_counter`.
        elapsed: Seconds it took.
        hosts: How many it sent to.
        cpu: Seconds its thread computed.
        late: Seconds its loop was late, as far as was seen.
    """

    started: float
    elapsed: float
    hosts: int
    cpu: float
    late: float


@dataclass(slots=True)
class Sums:
    """Seconds of all requests, each from the start of the run to its end, by cause."""

    requests: int = 0
    turn: float = 0.0
    """Until a request was drawn from the source: all slots were taken."""
    queued: float = 0.0
    """From then on, for a slot of its host or for a rate."""
    connect: float = 0.0
    server: float = 0.0
    download: float = 0.0
    retries: float = 0.0
    attempts: float = 0.0
    longest: float = 0.0
    """The longest attempt."""
    first_tries: float = 0.0
    """When the last first try had ended, seconds from the beginning."""
    refused: int = 0
    """Attempts that ended with 429, 503 or a timeout."""


class _Advice(NamedTuple):
    """One setting and what it would save, as a share of the run's time."""

    gain: float
    text: str
    option: str | None = None
    value: Any = None


def explain(outcomes: Iterable[Outcome] | Sums, options: Options, of: Circumstances) -> dict[str, Any]:
    """Return what `Run.summary` says of a finished run: ``time`` and ``advice``, small JSON.

    Args:
        outcomes: Of all its requests, or their sums; those taken over from an earlier run do not count.
        options: In force at its end.
        of: What else is known.

    Returns:
        ``time``: for slot, rate, connect, server, download, retries and ourselves the mean seconds of a request between the
        beginning of the run and its own end, and their share; for loop_lag seconds and share of the run, within the others.
        ``advice``: text, option, value and the expected gain as a share of the run's time; None where nothing was sent.
    """
    sums = outcomes if isinstance(outcomes, Sums) else summed(outcomes, of.started)
    if not sums.requests or of.elapsed <= 0:
        return {"time": {}, "advice": None}
    parts = _parts(sums, options)
    total = max(sum(parts.values()), 1e-9)
    time = {name: {"s": round(seconds / sums.requests, 4), "share": round(seconds / total, 3)} for name, seconds in parts.items()}
    time["loop_lag"] = {"s": round(of.late, 4), "share": round(min(1.0, of.late / of.elapsed), 3)}
    choices = [_more_slots(sums, options, of), _no_rate(sums, options, of), _own_loop(options, of)]
    if options.until is None:
        # Otherwise most of these waits are for answers that are not ready.
        choices.append(_no_retries(sums, of))
    best = max(choices, key=lambda advice: advice.gain)
    if best.gain <= _WORTH_SAYING:
        best = _Advice(0.0, _largest(parts, total, of))
    return {"time": time, "advice": {"text": best.text, "option": best.option, "value": best.value, "gain": round(max(0.0, best.gain), 2)}}


def summed(outcomes: Iterable[Outcome], started: float, sums: Sums | None = None) -> Sums:
    """Return the sums of outcomes, added to those that are given.

    Args:
        outcomes: What to add.
        started: When the run began, seconds of `time.perf_counter`: what was before it does not count.
        sums: What is known already.
    """
    sums = Sums() if sums is None else sums
    singles: list[bytes] = []
    for outcome in outcomes:
        attempts = outcome.attempts
        if type(attempts) is SingleAttempt:
            singles.append(attempts.packed)
        elif attempts and attempts[0].start >= started:
            _add(sums, attempts, started)
    _add_singles(sums, singles, started)
    return sums


def _add(sums: Sums, attempts: Sequence[Attempt], started: float) -> None:
    first = attempts[0]
    sums.requests += 1
    sums.turn += max(0.0, first.start - first.queued - started)
    sums.first_tries = max(sums.first_tries, first.end - started)
    for attempt in attempts:
        takes = attempt.end - attempt.start
        sums.queued += attempt.queued
        sums.retries += attempt.retry_wait
        sums.attempts += takes
        sums.longest = max(sums.longest, takes)
        sums.refused += attempt.status in (429, 503) or attempt.error == "timeout"
        for hop in attempt.hops:
            # Marks that the backend cannot see are NaN, for which no comparison holds: the time counts for the next part.
            sent = hop.request_start if hop.request_start >= 0 else hop.fetch_start
            answered = hop.response_start if hop.response_start >= 0 else hop.response_end
            if not hop.reused:
                sums.connect += sent - hop.fetch_start
            sums.server += answered - sent
            sums.download += hop.response_end - answered


_SINGLE = marks_struct("start", "queued", "fetch_start", "request_start", "response_start", "response_end", "reused")


def _add_singles(sums: Sums, singles: Iterable[bytes], started: float) -> None:
    """Add requests with one attempt as `_add` does, but without making records: there may be a million, and somebody waits."""
    requests, last = 0, started
    turn = waited = connect = server = download = attempts = longest = 0.0
    for start, queued, fetched, sent, answered, end, reused in map(_SINGLE.unpack, singles):
        if start < started:
            continue
        requests += 1
        attempts += (takes := end - start)
        longest = max(longest, takes)
        last = max(last, end)
        if (drawn := start - queued) > started:
            turn += drawn - started
        waited += queued
        asked = sent if sent >= 0 else fetched
        replied = answered if answered >= 0 else end
        if reused != 1:
            connect += asked - fetched
        server += replied - asked
        download += end - replied
    sums.requests += requests
    sums.turn += turn
    sums.queued += waited
    sums.connect += connect
    sums.server += server
    sums.download += download
    sums.attempts += attempts
    sums.longest = max(sums.longest, longest)
    sums.first_tries = max(sums.first_tries, last - started)


def _parts(sums: Sums, options: Options) -> dict[str, float]:
    """Return seconds of all requests together, by what they were spent on."""
    rated = _rate_option(options) is not None
    # Waiting for a slot is caused by what the slots' holders wait for: the rate or the server.
    due_to_rate = sums.queued / max(sums.queued + sums.attempts, 1e-9) if rated else 0.0
    measured = sums.connect + sums.server + sums.download
    return {
        "slot": sums.turn * (1 - due_to_rate) + (0.0 if rated else sums.queued),
        "rate": sums.turn * due_to_rate + (sums.queued if rated else 0.0),
        "connect": sums.connect,
        "server": sums.server,
        "download": sums.download,
        "retries": sums.retries,
        "ourselves": max(0.0, sums.attempts - measured),
    }


def _slots(options: Options, of: Circumstances) -> tuple[int, str]:
    """Return how many requests could be in flight, and the flag that bounds them."""
    most = most_in_flight(options)
    per_host = options.concurrency_per_host
    if per_host is not None and per_host * of.hosts < most:
        return per_host * of.hosts, "concurrency_per_host"
    return most, "concurrency"


def _more_slots(sums: Sums, options: Options, of: Circumstances) -> _Advice:
    slots, option = _slots(options, of)
    more = min(_FURTHER * slots, MOST, sums.requests)
    held_by_rate = _rate_option(options) is not None and sums.queued > sums.attempts
    if (options.concurrency == "auto" and option == "concurrency") or more <= slots or sums.refused or held_by_rate:
        return _Advice(0.0, "")
    takes = max(of.elapsed - sums.attempts / slots + sums.attempts / more, of.cpu, sums.longest)
    gain = 1 - takes / of.elapsed
    value = more if option == "concurrency" else max(1, more // of.hosts)
    flag = "-c" if option == "concurrency" else "--per-host"
    return _Advice(gain, f"{flag} {value} would save about {_percent(gain)} if the server keeps pace", option, value)


def _no_rate(sums: Sums, options: Options, of: Circumstances) -> _Advice:
    option = _rate_option(options)
    if option is None or sums.queued <= sums.attempts * _WORTH_SAYING:
        return _Advice(0.0, "")
    gain = 1 - max(sums.attempts / min(_slots(options, of)[0], sums.requests), of.cpu, sums.longest) / of.elapsed
    return _Advice(gain, f"{option} is what you wait for: without it about {_percent(gain)} less", option)


def _no_retries(sums: Sums, of: Circumstances) -> _Advice:
    gain = 1 - sums.first_tries / of.elapsed if sums.retries else 0.0
    return _Advice(gain, f"retries, and the waits before them, take the last {_percent(gain)}: max_retries bounds them", "max_retries", 0)


def _own_loop(options: Options, of: Circumstances) -> _Advice:
    gain = min(1.0, of.late / of.elapsed) if options.loop != "thread" else 0.0
    return _Advice(gain, f'other work held the loop up for {_percent(gain)}: loop="thread" goes on beside it', "loop", "thread")


def _largest(parts: dict[str, float], total: float, of: Circumstances) -> str:
    """Return the largest part of the time, for runs that no setting would speed up much."""
    computing = of.cpu / of.elapsed
    if computing > _BUSY:
        return f"our own work takes {_percent(computing)}"
    names = {
        "server": "the server takes",
        "download": "the download takes",
        "connect": "connecting takes",
        "ourselves": "our own work takes",
        "retries": "waiting for retries takes",
        "rate": "waiting for the rate takes",
        "slot": "waiting for a slot takes",
    }
    name = max(names, key=lambda name: parts[name])
    return f"{names[name]} {_percent(parts[name] / total)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rate_option(options: Options) -> str | None:
    if options.rate_limit is not None:
        return "rate_limit"
    return "rate_limit_per_host" if options.rate_limit_per_host is not None else None
