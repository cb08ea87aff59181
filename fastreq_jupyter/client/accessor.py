"""``df.fastreq``: requests made from the rows of a frame, and what can be done with the frame of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastreq_jupyter.bridge import interruption, wait_blocking
from fastreq_jupyter.cell import EachSpec, Source, build, to_curl, to_http
from fastreq_jupyter.client.call import Call, check_options, layered, refuse, result_of, run_blocking, session_of, where_it_stopped
from fastreq_jupyter.client.plan import with_defaults, with_templates
from fastreq_jupyter.client.tables import preview_frame
from fastreq_jupyter.engine import SHARES, USER_AGENT, Jar, field_lines_of, find_run, parse_json, quantiles
from fastreq_jupyter.errors import CellSyntaxError, UsageError, hide_frames
from fastreq_jupyter.exchange import phases_of
from fastreq_jupyter.files import write_whole
from fastreq_jupyter.frame import (
    Bodies,
    expand_frame,
    explode_frame,
    floats,
    har_pieces,
    instants,
    integers,
    save,
    select_frame,
    shown_urls,
    texts,
    to_frame,
)
from fastreq_jupyter.model import Plan
from fastreq_jupyter.options import TABLE, Options, Selection, document_options
from fastreq_jupyter.picture import Waterfall, lay_out, shown_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fastreq_jupyter.engine import Run
    from fastreq_jupyter.model import Attempt, Outcome

# Columns are joined back to the frame's own.
_NOT_HERE = ("keys", "return_type", "return_none_on_failure")
# A name in single braces: what an f-string leaves of {{name}}.
_SINGLE = re.compile(r"(?<!\{)\{([A-Za-z_][\w. ]*)\}(?!\})")

_UNTOLD = "{}() cannot tell which requests these rows are: their labels repeat or were changed; call it on the run's own frame"


class FastreqAccessor:
    """Requests made from the rows of a frame, and what can be done with the frame of a run.

    Args:
        frame: Any DataFrame for `get`, `post`, `request` and `save`; the frame of a run for the rest.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @partial(document_options, without=(*_NOT_HERE, "method"))
    @hide_frames
    def get(self, template: str, **options: Any) -> Any:
        """Send a GET for each row and return the frame with the answers' columns behind its own, joined by position.

        Args:
            template: URL with ``{{ column }}`` in it; ``{{ index }}`` and ``{{ row }}`` work as in a cell. Other values are put in
                by Python, ``base + "/orders/{{ id }}"``: variables of the notebook are not looked up here.
            **options: As `fastreq`, but `keys`, `return_type` and the like; templates work in `headers` too.

        Raises:
            UsageError: One line, nothing was sent.
        """
        return send_rows(self._frame, template, {**options, "method": "GET"})

    @partial(document_options, without=(*_NOT_HERE, "method"))
    @hide_frames
    def post(self, template: str, **options: Any) -> Any:
        """Send a POST for each row and return the frame with the answers' columns behind its own, joined by position.

        Args:
            template: URL with ``{{ column }}`` in it.
            **options: As `get`. Templates work in `json` and `data`: a string that is nothing but ``{{ column }}`` becomes the
                value itself in JSON, a number or a list, say; within other text it becomes text.

        Raises:
            UsageError: One line, nothing was sent.
        """
        return send_rows(self._frame, template, {**options, "method": "POST"})

    @partial(document_options, without=_NOT_HERE)
    @hide_frames
    def request(self, template: str, **options: Any) -> Any:
        """Send requests for each row, written as in a cell, and return the frame with the answers' columns behind its own.

        Args:
            template: ``https://host/{{ id }}``, ``PUT https://host/{{ id }}``, or a whole cell with header lines and body.
            **options: As `post`, `method` among them for a URL alone.

        Raises:
            UsageError: One line, nothing was sent.
        """
        return send_rows(self._frame, template, options)

    @property
    def failed(self) -> pd.DataFrame:
        """Return the rows that are not ok."""
        self._need("error")
        return self._frame[self._frame["error"].notna()]

    @property
    def changed(self) -> pd.DataFrame:
        """Return the rows whose bodies are new, or other than those that the cache had.

        Raises:
            UsageError: The run had no cache, or its outcomes are gone; one line.
        """
        run = run_of(self._frame, "changed")
        if not run.options.caches:
            raise UsageError("changed tells what is other than in the cache, and this run had none: give cache='revalidate'")
        labels, rows = _labels_of(run), run.rows
        marks = [bool(row.changed) for row in rows]
        if self._frame.index.equals(labels):
            return self._frame[marks]
        if not labels.is_unique:
            raise UsageError("changed cannot tell which requests these rows are: their labels repeat; call it on the run's own frame")
        return self._frame[self._frame.index.isin(labels[marks])]

    @hide_frames
    def retry_failed(self, **options: Any) -> pd.DataFrame:
        """Send again what failed and return the frame anew; good rows are as they were, of a filtered frame only its rows are sent.

        The variable of ``--auth`` is looked up again, and a login that they need is sent again.

        Args:
            **options: New values of options that say how to send: `timeout`, `max_retries`, `rate_limit`, `auth`, `backend` ...

        Raises:
            UsageError: The outcomes are gone, or an option would make other requests; one line.
        """
        run = run_of(self._frame, "retry_failed")
        rows = _outcomes_of(self._frame, "retry_failed")
        if len(rows) == len(run.rows):
            frame: pd.DataFrame = _resend(run, None, options)
            return frame
        chosen = {row.position for row in rows}
        labels = _labels_of(run)[[row.position in chosen for row in run.rows]]
        retried = _resend(run, chosen, options)
        part: pd.DataFrame = retried[retried.index.isin(labels)]
        return part

    def summary(self) -> dict[str, Any]:
        """Return figures of the rows that are here: rows, ok, failed, errors, bytes, p50_ms, p95_ms, p99_ms; as `run` the run's own."""
        self._need("error")
        frame = self._frame
        ok = frame["error"].isna()
        figures: dict[str, Any] = {
            "rows": len(frame),
            "ok": int(ok.sum()),
            "failed": int((~ok).sum()),
            "errors": {str(kind): int(count) for kind, count in frame["error"].value_counts().items()},
        }
        if "size_bytes" in frame:
            figures["bytes"] = int(frame["size_bytes"].sum())
        if "elapsed_ms" in frame:
            times = dict(zip(SHARES, quantiles(frame["elapsed_ms"].astype(float)) or [nan] * len(SHARES), strict=True))
            figures |= {f"p{percent}_ms": None if isnan(value) else round(value, 3) for percent, value in times.items()}
        attrs = frame.attrs.get("fastreq")
        return {**figures, "run": dict(attrs["summary"]) if isinstance(attrs, dict) and "summary" in attrs else {}}

    @hide_frames
    def expand(self, select: str | None = None, explode: str | list[str] | None = None) -> pd.DataFrame:
        """Return the frame with the objects in ``data`` as typed columns; what could not be told apart is printed, a line each.

        Args:
            select: JMESPath: first one row per item that it finds in the body. Its ``headers`` need the column `headers`.
            explode: Columns of lists to turn into one row per item, after that; several of equal lengths go in step.

        Raises:
            UsageError: No JMESPath, no such column, or lists of unequal lengths; one line.
        """
        self._need("error", "data")
        notes: list[str] = []
        frame, headers = self._frame, "headers" in self._frame
        bodies = Bodies(
            _read_bodies(frame),
            list(frame["error"].isna()),
            list(frame["headers"]) if headers else [None] * len(frame),
        )
        if select is not None:
            if Selection(select).reads_headers and not headers:
                raise UsageError(f"select={select!r} reads headers, and the frame has none: run it with response_headers=True")
            frame, _, bodies = select_frame(frame, select, bodies, notes)
        frame = expand_frame(frame, None, bodies, notes)
        if explode is not None:
            frame, _ = explode_frame(frame, [explode] if isinstance(explode, str) else explode, notes)
        frame.attrs = dict(self._frame.attrs)
        for note in notes:
            print(note)  # noqa: T201 - a line for whoever works in the notebook
        return frame

    def all_columns(self) -> pd.DataFrame:
        """Return these rows in their order, as the run gave them, with every column of how it went, as ``columns="all"`` does.

        Rows of one request that nothing tells apart, after ``explode``, come all and in the run's order.

        Raises:
            UsageError: The outcomes are gone, or the labels were made anew; one line.
        """
        mine, run = self._frame, run_of(self._frame, "all_columns")
        shown = replace(run.options, columns="all")
        whole = to_frame(run.rows, shown, keys=run.plan.keys, join=run.plan.join, summary=run.summary(), run_id=run.id)
        names = [name for name, given in (("page", run.options.pages), ("item", run.options.select)) if given]
        # Of 4,000 quick requests ten take equally long. The others are found so where labels repeat or were made anew.
        places = _places_of(mine, whole, ["elapsed_ms", *names])
        if places is not None:
            return whole.iloc[places].set_axis(mine.index)
        complete = len(_outcomes_of(mine, "all_columns")) == len(run.rows)
        places = _places_of(mine.assign(_label=mine.index), whole.assign(_label=whole.index), ["_label", *names])
        frame = whole.iloc[places] if places is not None else whole if complete else whole[whole.index.isin(mine.index)]
        if len(frame) == len(mine) and "elapsed_ms" in mine and _are_swapped(mine["elapsed_ms"], frame["elapsed_ms"]):
            raise UsageError(_UNTOLD.format("all_columns"))
        return frame

    def timings(self) -> pd.DataFrame:
        """Return a long frame, one row per attempt and phase, in ``ms`` (NaN where unseen).

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return _timings_frame(_outcomes_of(self._frame, "timings"))

    def waterfall(self) -> Waterfall:
        """Return the waterfall of these requests: it shows itself in a notebook, ``.save("x.svg")`` keeps it.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        rows = _outcomes_of(self._frame, "waterfall")
        run = run_of(self._frame, "waterfall")
        complete = len(rows) == len(run.rows)
        title = run.closing_line() if complete else f"{len(rows):,} of {len(run.rows):,} requests"
        return Waterfall(lay_out(rows, title=title, since=datetime.fromisoformat(run.summary()["started_at"])))

    def to_http(self) -> str:
        """Return the requests as the text of a cell, secrets as ``{{$env NAME}}``.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return to_http([row.request for row in _outcomes_of(self._frame, "to_http")])

    def to_curl(self) -> str:
        """Return the requests as curl commands, secrets as ``{{$env NAME}}``.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return to_curl([row.request for row in _outcomes_of(self._frame, "to_curl")])

    def save(self, path: str | Path) -> Path:
        """Write the frame; the file appears whole or not at all.

        Args:
            path: Ends in ``.parquet`` (needs pyarrow; `fastreq_jupyter.load` gives it back exactly); in ``.csv``, ``.jsonl`` or
                ``.xlsx`` (needs openpyxl), which are plain exports for other programs; or in ``.har`` (HAR 1.2, for browsers'
                developer tools): one entry per attempt and redirect hop of these rows, secrets as ``***``.

        Returns:
            The path.

        Raises:
            UsageError: Another ending, a value that Parquet cannot give back, or for ``.har`` outcomes that are gone; one line.
        """
        if str(path).lower().endswith(".har"):
            rows = _outcomes_of(self._frame, "save")
            write_whole(path, har_pieces(rows, version=USER_AGENT.partition("/")[2], sent=field_lines_of))
            return Path(path)
        return save(self._frame, path)

    def __repr__(self) -> str:
        able = "get, post, request, failed, changed, retry_failed, summary, expand, all_columns, timings, waterfall, to_http, to_curl, save"
        return f"<df.fastreq of {len(self._frame):,} rows: {able}>"

    def _need(self, *columns: str) -> None:
        missing = [column for column in columns if column not in self._frame]
        if missing:
            raise UsageError(f"this is not the frame of a run: it has no column {missing[0]}")


_PHASES = ("queued", "dns", "connect", "tls", "wait", "receive", "retry_wait")
_PHASE = pd.CategoricalDtype(list(_PHASES))


def run_of(frame: pd.DataFrame, asking: str) -> Run:
    """Return the run that gave a frame.

    Raises:
        UsageError: The frame does not know it, or it is gone; one line.
    """
    attrs = frame.attrs.get("fastreq")
    run_id = attrs.get("run_id") if isinstance(attrs, dict) else None
    if run_id is None:
        raise UsageError(f"{asking}() needs the frame that a run gave: this one knows no run (concat and merge drop attrs)")
    run = find_run(run_id)
    if run is None:
        raise UsageError(f"{asking}() needs the outcomes of run {run_id}, and they are gone: the last 10 runs of this process are kept")
    if run.sink is not None:
        place = run.sink.place
        raise UsageError(
            f"{asking}() needs the outcomes, and they left memory: load({place!r}) has the rows, journal sends what failed again"
        )
    return run


def _outcomes_of(frame: pd.DataFrame, asking: str) -> list[Outcome]:
    """Return the outcomes behind the rows of a frame, also where it is a part of the run's, in its order, each once.

    Raises:
        UsageError: They are gone, or rows of the same label cannot be told apart; one line.
    """
    run = run_of(frame, asking)
    rows, labels = run.rows, _labels_of(run)
    if frame.index.equals(labels):
        return list(rows)
    if labels.is_unique:
        places = labels.get_indexer(frame.index.unique())
        if (places >= 0).all() and _are_theirs(frame, outcomes := [rows[place] for place in places]):
            return outcomes
    elif set(frame.index) == set(labels) and len(frame) >= len(labels):
        return list(rows)
    raise UsageError(_UNTOLD.format(asking))


def _places_of(part: pd.DataFrame, whole: pd.DataFrame, names: list[str]) -> list[int] | None:
    """Return where each row of a part stands in the whole; None where these columns do not tell, or are not there."""
    if not set(names) <= set(part):
        return None
    known: dict[tuple[Any, ...], int] = {}
    for place, key in enumerate(zip(*(whole[name] for name in names), strict=True)):
        known[key] = -1 if key in known else place
    places = [known.get(key, -1) for key in zip(*(part[name] for name in names), strict=True)]
    return None if -1 in places else places


def _are_swapped(times: pd.Series, theirs: pd.Series) -> bool:
    """Tell whether times are those of a run at other places: rows were sorted and labelled anew. Rounded ones are none of them."""
    here = pd.Series(pd.to_numeric(times, errors="coerce").to_numpy(float, na_value=nan))
    there = theirs.reset_index(drop=True)
    return not here.equals(there) and bool(here.isin(there).all())


def _are_theirs(frame: pd.DataFrame, rows: list[Outcome]) -> bool:
    """Tell whether no column speaks against it that these outcomes are those of the rows: labels can be made anew."""
    if not frame.index.is_unique:
        return True
    if "url" in frame:
        return list(frame["url"]) == shown_urls([row.request for row in rows])
    # Hardly two requests take equally long.
    return "elapsed_ms" not in frame or frame["elapsed_ms"].array.equals(to_frame(rows, Options())["elapsed_ms"].array)


# Values of `parse` with which bodies that are JSON were not read as JSON.
_AS_THEY_CAME = frozenset({"auto", "text", "bytes"})


def _read_bodies(frame: pd.DataFrame) -> list[Any]:
    """Return the column `data` with JSON read where its content type did not say so; what is none stays as it is.

    A run that looked into bodies has read them all. Where the content type is not known, a text is read that stands for an object
    or a list.
    """
    attrs = frame.attrs.get("fastreq")
    run = find_run(attrs["run_id"]) if isinstance(attrs, dict) and attrs.get("run_id") else None
    if run is not None and (run.options.looks_into_bodies or run.options.parse not in _AS_THEY_CAME):
        return list(frame["data"])
    kinds = frame["content_type"] if "content_type" in frame else _content_types(frame, run)
    return [
        _read_body(value) if isinstance(value, (str, bytes)) and not _was_json(kind) else value
        for value, kind in zip(frame["data"], kinds, strict=True)
    ]


def _content_types(frame: pd.DataFrame, run: Run | None) -> list[str | None]:
    rows = [] if run is None or len(run.rows) != len(frame) else run.rows
    return [None if row.response is None else row.response.content_type for row in rows] or [None] * len(frame)


def _was_json(kind: Any) -> bool:
    return isinstance(kind, str) and (kind in ("application/json", "text/json") or kind.endswith("+json"))


def _read_body(body: str | bytes) -> Any:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return body
    try:
        return parse_json(content, None)
    except ValueError:
        return body


def _labels_of(run: Run) -> pd.Index[Any]:
    """Return the label of each request of a run."""
    # Without select and expand there is one row per outcome, identified by its label.
    return to_frame(run.rows, Options(columns="data", pages=run.options.pages), keys=run.plan.keys, join=run.plan.join).index


def _resend(run: Run, rows: Collection[int] | None = None, options: Mapping[str, Any] | None = None) -> Any:
    """Send what failed once more, block, and return the frame of all rows.

    Args:
        run: What failed in it.
        rows: Positions of the only rows to send, None for all.
        options: New values of options.

    Raises:
        KeyboardInterrupt: Interrupted; the rows are in ``last_run().df``.
    """
    waited = wait_blocking(partial(run.retry_failed, rows=rows, **(options or {})), loop=run.options.loop)
    if waited.interrupted:
        raise interruption(where_it_stopped(waited.run, "last_run().df"))
    waited.run.raise_error()
    return waited.run.df


def _timings_frame(rows: Iterable[Outcome]) -> pd.DataFrame:
    """Return one row per attempt and phase; a phase nobody saw is NaN, 0 is one that took none."""
    tries = [(row, shown_url(row, 2000), attempt) for row in rows for attempt in row.attempts]
    width = len(_PHASES)
    repeated = [row for row in tries for _ in _PHASES]
    return pd.DataFrame(
        {
            "position": integers([row.position for row, _, _ in repeated], "Int64"),
            "url": texts([url for _, url, _ in repeated]),
            "attempt": integers([attempt.number for _, _, attempt in repeated], "UInt8"),
            "phase": pd.Categorical.from_codes([code for _ in tries for code in range(width)], dtype=_PHASE),
            "ms": floats([seconds for _, _, attempt in tries for seconds in _durations(attempt)], 1e3),
            "status": integers([attempt.status for _, _, attempt in repeated], "Int16"),
            "error": texts([attempt.error for _, _, attempt in repeated]),
            "started_at": instants([attempt.started_at for _, _, attempt in repeated]),
        },
        copy=False,
    )


def _durations(attempt: Attempt) -> tuple[float, ...]:
    phases = phases_of(attempt.hops)
    return attempt.queued, phases.dns, phases.connect, phases.tls, phases.wait, phases.receive, attempt.retry_wait


def send_rows(frame: pd.DataFrame, template: str, arguments: Mapping[str, Any]) -> Any:
    """Send what the template says for each row; return the frame with the answers' columns behind its own.

    Raises:
        UsageError: One line, nothing was sent.
    """
    if not isinstance(template, str):
        raise UsageError(f"the template is a {type(template).__name__}: give a text like 'https://host/{{{{ id }}}}'")
    refuse(arguments, _NOT_HERE, "has no meaning where columns are joined back")
    refuse(arguments, (name for name, row in TABLE.items() if "function" not in row.doors), "belongs to cells")
    session = session_of(arguments)
    options = Options.of(layered(session, without=_NOT_HERE), **with_templates(arguments))
    check_options(options)
    home = None if session is None else session.home
    source = Source(EachSpec("the frame", None, "the frame"), frame)
    try:
        cell = build(template, options=options, sources=[source], base_url=None if home is None else home.base_url, set_by_user=arguments)
    except CellSyntaxError as error:
        if (single := _SINGLE.search(template)) is None:
            raise
        name = single[1]
        hint = "; in an f-string {{{{" + name + "}}}} gives {{" + name + "}}"
        raise CellSyntaxError(error.message + hint, error.line, error.column) from None
    final = Options.of(options, **cell.run_options)
    jar = Jar() if session is None else session.jar
    items, auth = with_defaults(cell.items, final, jar=jar, home=home, total=cell.total)
    plan = Plan(items, final, total=cell.total, join=cell.join, auth=auth, notes=cell.notes, chained=cell.chained)
    if final.dry_run:
        return preview_frame(plan)
    return result_of(run_blocking(Call(plan, jar, session))[0])
