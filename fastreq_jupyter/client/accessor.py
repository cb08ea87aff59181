"""``df.fastreq``: requests made from the rows of a frame, and what can be done with the frame of a run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import to_curl, to_http
from fastreq_jupyter.client.accessor_run import again, outcomes_of, run_of, summary_of, timings_frame
from fastreq_jupyter.client.accessor_send import send_rows
from fastreq_jupyter.errors import UsageError, sealed
from fastreq_jupyter.frame.expand import expand_frame, explode_frame
from fastreq_jupyter.frame.io import save
from fastreq_jupyter.frame.select import select_frame
from fastreq_jupyter.picture.figure import Waterfall
from fastreq_jupyter.picture.waterfall import layout
from fastreq_jupyter.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["FastreqAccessor"]


class FastreqAccessor:
    """Send one request per row of a frame, and work with the frame of a run.

    Args:
        frame: Any DataFrame for `get`, `post`, `request` and `save`; the frame of a run for the rest.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @sealed
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

    @sealed
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

    @sealed
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
        self._need("ok")
        return self._frame[~self._frame["ok"].astype(bool)]

    @sealed
    def retry_failed(self) -> pd.DataFrame:
        """Send again what failed and return the whole frame of the run; good rows are as they were.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        frame: pd.DataFrame = again(run_of(self._frame, "retry_failed"))
        return frame

    def summary(self) -> dict[str, Any]:
        """Return figures of the rows that are here: rows, ok, failed, errors, bytes, p50_ms, p95_ms, p99_ms; as `run` the run's own."""
        self._need("ok", "error")
        return summary_of(self._frame)

    @sealed
    def expand(self, select: str | None = None, explode: str | list[str] | None = None) -> pd.DataFrame:
        """Return the frame with the objects in ``data`` as typed columns; what could not be told apart is printed, a line each.

        Args:
            select: JMESPath: first one row per item that it finds in the body. Its ``headers`` need the column `headers`.
            explode: Columns of lists to turn into one row per item, after that.

        Raises:
            UsageError: No JMESPath, or no such column; one line.
        """
        self._need("ok", "data")
        notes: list[str] = []
        frame = self._frame
        fields: list[Any] = list(frame["headers"]) if "headers" in frame else [None] * len(frame)
        if select is not None:
            if Selection(select).reads_headers and "headers" not in frame:
                raise UsageError(f"select={select!r} reads headers, and the frame has none: run it with response_headers=True")
            frame, taken = select_frame(frame, select, fields=fields, notes=notes)
            fields = [fields[row] for row in taken]
        frame = expand_frame(frame, fields=fields, notes=notes)
        for column in [explode] if isinstance(explode, str) else explode or []:
            if column not in frame:
                raise UsageError(f"explode={column!r}: no such column; there are {', '.join(map(str, frame.columns[:20]))}")
            frame = explode_frame(frame, column, notes)
        frame.attrs = dict(self._frame.attrs)
        for note in notes:
            print(note)  # noqa: T201 - a line for whoever works in the notebook
        return frame

    def timings(self) -> pd.DataFrame:
        """Return a long frame, one row per attempt and phase, in ``ms`` (NaN where unseen).

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return timings_frame(outcomes_of(self._frame, "timings"))

    def waterfall(self) -> Waterfall:
        """Return the waterfall of these requests: it shows itself in a notebook, ``.save("x.svg")`` and ``.save("x.png")`` keep it.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        rows = outcomes_of(self._frame, "waterfall")
        run = run_of(self._frame, "waterfall")
        whole = len(rows) == len(run.rows)
        title = run.closing_line() if whole else f"{len(rows):,} of {len(run.rows):,} requests"
        return Waterfall(layout(rows, title=title, since=datetime.fromisoformat(run.summary()["started_at"])))

    def to_http(self) -> str:
        """Return the requests as the text of a cell, secrets as ``{{$env NAME}}``.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return to_http([row.request for row in outcomes_of(self._frame, "to_http")])

    def to_curl(self) -> str:
        """Return the requests as curl commands, secrets as ``{{$env NAME}}``.

        Raises:
            UsageError: The outcomes are gone; one line.
        """
        return to_curl([row.request for row in outcomes_of(self._frame, "to_curl")])

    def save(self, path: str | Path) -> Path:
        """Write the frame; `fastreq_jupyter.load` gives it back exactly.

        Args:
            path: Ends in ``.parquet`` (needs pyarrow), ``.csv`` or ``.jsonl``. The file appears whole or not at all.

        Returns:
            The path.

        Raises:
            UsageError: Another ending, or a value no file can give back; one line.
        """
        return save(self._frame, path)

    def __repr__(self) -> str:
        able = "get, post, request, failed, retry_failed, summary, expand, timings, waterfall, to_http, to_curl, save"
        return f"<df.fastreq of {len(self._frame):,} rows: {able}>"

    def _need(self, *columns: str) -> None:
        missing = [column for column in columns if column not in self._frame]
        if missing:
            raise UsageError(f"this is not the frame of a run: it has no column {missing[0]}")
