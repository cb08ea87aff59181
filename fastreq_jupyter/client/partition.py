"""One request per row of a partition, inside Dask, Spark or Ray: `partition_plan`.

The law: a plan is plain data. It can be pickled, holds no session, loop or secret, and whatever an engine does with a task
(run it twice, kill it in the middle, ask it for types) is either harmless or refused when the plan is made.
"""

from __future__ import annotations

import os
import re
import sys
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastreq_jupyter.cell import Placeholder, RequestTemplate, parse
from fastreq_jupyter.client.call import check_options, refuse
from fastreq_jupyter.errors import OptionError, UsageError
from fastreq_jupyter.model import IDEMPOTENT
from fastreq_jupyter.options import Options, Rate
from fastreq_jupyter.redact import is_secret_header, secret_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

_NOT_HERE = {
    "session": "is open in this process and cannot leave it: give auth='env:NAME' and headers",
    "keys": "has no meaning where columns are joined back",
    "return_type": "has no meaning here: engines get frames",
    "return_none_on_failure": "belongs to lists",
    "expand": "makes columns that depend on the answers: give schema, {'field': 'Float64'}",
    "explode": "makes columns that depend on the answers: give select and schema",
    "to": "belongs to one process: the engine writes its frames",
    "cookies": "may be secrets: give auth='env:NAME', or a header line with {{$env NAME}}",
    "cache": "is one file of one process: give journal, a directory that all workers see",
    "offline": "needs cache, which is one file of one process",
    "limit": "counts within one partition: limit the engine's frame",
    "dry_run": "sends nothing",
    "background": "belongs to cells",
    "progress": "belongs to one process: the engine shows its own",
    "loop": "is chosen by the worker",
}
_SCHEMES = re.compile(r"\s*(basic|bearer|token|digest|apikey|key)?\s*", re.IGNORECASE)
_REFERENCE = re.compile(r"env:\w+|[\w.]+:\w+")
# Name of the function of Dask that calls with made-up rows.
_ASKING_FOR_TYPES = frozenset({"emulate", "_emulate"})
_INNER = re.compile(r"\{\{.*?\}\}")


def partition_plan(  # noqa: PLR0913 - the door: what is particular to clusters, by name
    template: str,
    *,
    schema: Mapping[str, Any] | None = None,
    keep: Mapping[str, Any] | None = None,
    share: int | None = None,
    journal: str | Path | None = None,
    auth: str | None = None,
    **options: Any,
) -> PartitionPlan:
    """Return a callable that sends one request per row of a partition: for Dask, Spark and Ray.

    ``ddf.map_partitions(plan, meta=plan.meta)``, ``sdf.mapInPandas(plan.iterator, plan.spark_schema)``,
    ``ds.map_batches(plan, batch_format="pandas")``.

    Args:
        template: As for ``df.fastreq.request``: URL with ``{{ column }}``, or a whole cell; ``{{$env NAME}}`` is read by the worker.
        schema: Fields of the answers (dotted where nested) that become columns, and their types: string, Int64, Int32, Int16,
            Float64, boolean, timestamp. Then `data` holds, as JSON text, only what did not fit; without it all bodies.
        keep: Input columns that stay, and their types.
        share: Tasks that send at once, anywhere in the cluster: rates, burst and concurrency per host are divided by it.
        journal: Directory that all workers see; a task that runs again sends nothing that was answered.
        auth: Credentials by reference: "env:NAME" or "package.module:name", looked up by the worker.
        **options: As ``df.fastreq.request``.

    Raises:
        UsageError: One line: a rate without share, an unsafe method that an engine would send twice, a secret that would travel
            with the plan, or an option that has no meaning here.
    """
    for name, why in _NOT_HERE.items():
        refuse(options, (name,), why)
    arguments = {**options, **({} if journal is None else {"journal": str(journal)})}
    checked = Options.of(None, **{name: value for name, value in arguments.items() if name not in ("json", "headers", "data")})
    checked = Options.of(checked, headers=options.get("headers"))
    check_options(checked)
    _check_secrets(template, options, auth)
    _check_methods(template, checked)
    from fastreq_jupyter.frame import fixed_columns, read_types  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

    types = read_types(schema, "schema")
    columns = fixed_columns(checked, types, read_types(keep, "keep"))
    return PartitionPlan(
        template, types, columns, tuple(keep or ()), None if journal is None else str(journal), auth, _shared(options, checked, share)
    )


class PartitionPlan:
    """One request per row of a frame, as plain data that can be sent to other machines. Made by `partition_plan`.

    Attributes:
        template: What is sent.
        meta: An empty frame with the columns and types of every result.
        spark_schema: The same as Spark writes it.
    """

    # Engines use it as the name of their tasks.
    __name__ = "partition_plan"

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        template: str,
        schema: dict[str, str],
        columns: dict[str, str],
        keep: tuple[str, ...],
        journal: str | None,
        auth: str | None,
        options: dict[str, Any],
    ) -> None:
        self.template = template
        self._schema = schema
        self._columns = columns
        self._keep = keep
        self._journal = journal
        self._auth = auth
        self._options = options

    @property
    def meta(self) -> pd.DataFrame:
        """Return an empty frame with the columns and types of every result."""
        from fastreq_jupyter.frame import fixed_frame  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

        return fixed_frame(self._columns, dict.fromkeys(self._columns, ()))

    @property
    def spark_schema(self) -> str:
        """Return columns and types as Spark's DDL writes them."""
        from fastreq_jupyter.frame import spark_schema  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

        return spark_schema(self._columns)

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Send one request per row and return the frame of the answers; its index is that of the rows.

        Raises:
            UsageError: A column that the template or `keep` names is missing; one line, nothing was sent.
        """
        from fastreq_jupyter.client.accessor import send_rows  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

        if not len(frame) or _only_types_are_asked():
            empty = self.meta
            return empty if len(frame) else empty.set_axis(frame.index[:0])
        missing = [name for name in self._keep if name not in frame]
        if missing:
            raise UsageError(f"keep: the partition has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))[:200]}")
        labelled = frame if frame.index.is_unique else frame.reset_index(drop=True)
        options = {**self._options, "progress": "none"}
        if self._auth is not None:
            options["auth"] = _referred(self._auth)
        if self._journal is None:
            sent = send_rows(labelled, self.template, options)
        else:
            import filelock  # noqa: PLC0415 - it brings sqlite3, and only few keep a journal

            path = Path(self._journal) / f"{_mark_of(frame, self)}.db"
            path.parent.mkdir(parents=True, exist_ok=True)
            # If a task runs twice at once, the second waits and reuses the answers of the first.
            with filelock.FileLock(f"{path}.task"):
                sent = send_rows(labelled, self.template, {**options, "journal": str(path)})
        return self._formed(sent, frame, labelled.index.get_indexer(sent.index))

    def iterator(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Give the result of each frame: for ``mapInPandas``."""
        for frame in frames:
            yield self(frame)

    def _formed(self, sent: pd.DataFrame, frame: pd.DataFrame, places: Any) -> pd.DataFrame:
        """Return what came in the columns that were promised."""
        from fastreq_jupyter.frame import body_columns, fixed_frame  # noqa: PLC0415 - pandas is paid for by whoever wants a frame

        values: dict[str, Any] = {name: frame[name].take(places) for name in self._keep}
        values |= body_columns(list(sent["data"]), list(sent["error"].isna()), self._schema)
        values |= {name: sent[name] for name in self._columns if name not in values}
        return fixed_frame(self._columns, values, frame.index.take(places))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("fastreq_jupyter.partition_plan", *(repr(value) for _, value in sorted(self.__dict__.items())))

    def __repr__(self) -> str:
        first = self.template.strip().splitlines()[0][:80] if self.template.strip() else ""
        return f"<PartitionPlan {_INNER.sub('{{...}}', first.partition('?')[0])} -> {', '.join(self._columns)}>"


def _shared(options: Mapping[str, Any], checked: Options, share: int | None) -> dict[str, Any]:
    """Return the options of one task: its part of rates, burst and concurrency per host.

    Raises:
        OptionError: A rate without share, or a share that is no whole number from 1.
    """
    part = dict(options)
    rates = {name: rate for name in ("rate_limit", "rate_limit_per_host") if (rate := getattr(checked, name)) is not None}
    if share is None:
        if rates:
            name = next(iter(rates))
            raise OptionError(f"{name} needs share: each task has a rate of its own; share=8 where 8 tasks send at once", option="share")
        return part
    if isinstance(share, bool) or not isinstance(share, int) or share < 1:
        raise OptionError(f"share={share!r} is not possible: give a whole number from 1", option="share", value=share)
    part |= {name: _part_of(rate, share) for name, rate in rates.items()}
    if "rate_limit" in rates:
        # The bucket of a host outlives a task: it also limits the next one of this process.
        part.setdefault("rate_limit_per_host", part["rate_limit"])
    if rates and (checked.explicit & {"rate_limit_burst"} or not any(rate.whole for rate in rates.values())):
        part["rate_limit_burst"] = max(1, checked.rate_limit_burst // share)
    if checked.concurrency_per_host is not None:
        part["concurrency_per_host"] = max(1, checked.concurrency_per_host // share)
    return part


def _part_of(rate: Rate, share: int) -> Rate:
    if not rate.whole:
        return Rate(rate.count / share, rate.per)
    if rate.count >= share:
        return Rate(float(int(rate.count // share)), rate.per, whole=True)
    return Rate(1.0, rate.per * share / rate.count, whole=True)


def _templates(template: str) -> tuple[list[RequestTemplate], dict[str, Any]]:
    if not isinstance(template, str):
        raise UsageError(f"the template is a {type(template).__name__}: give a text like 'https://host/{{{{ id }}}}'")
    cell = parse(template)
    return [entry for entry in cell.entries if isinstance(entry, RequestTemplate)], cell.variables


def _check_methods(template: str, options: Options) -> None:
    """Refuse what an engine that runs a task again would do twice.

    Raises:
        OptionError: An unsafe method without a key made of the row.
    """
    if options.retry_unsafe:
        return
    lines = {name.lower(): value for name, value in options.headers or ()}
    for entry in _templates(template)[0]:
        method = options.method if entry.plain else entry.method
        own = [header.parts for header in entry.headers if header.name.lower() == "idempotency-key"]
        named = any(isinstance(part, Placeholder) and not part.text.strip().startswith("$") for parts in own for part in parts)
        named = named or any("$" not in inner for inner in _INNER.findall(str(lines.get("idempotency-key", ""))))
        if method not in IDEMPOTENT and entry.operation != "query" and not named:
            why = "engines run tasks again: give a header Idempotency-Key made of the row, or retry_unsafe=True"
            raise OptionError(f"{method} is not possible here, {why}", option="method")


def _check_secrets(template: str, options: Mapping[str, Any], auth: Any) -> None:
    """Refuse secrets that would travel with the plan.

    Raises:
        OptionError: One was given; the line does not show it.
    """
    if auth is not None and not (isinstance(auth, str) and _REFERENCE.fullmatch(auth)):
        raise OptionError(
            "auth is not possible in clear, a plan is stored and sent: give 'env:NAME' or 'package.module:name'", option="auth"
        )
    entries, variables = _templates(template)
    lines = options.get("headers") or ()
    fields = [(str(name), _INNER.sub("", str(value))) for name, value in (lines.items() if hasattr(lines, "items") else lines)]
    texts = [_INNER.sub("", str(options.get(name) or "")) for name in ("params", "proxy", "data", "json")]
    for entry in entries:
        fields += [(header.name, _literal(header.parts, variables)) for header in entry.headers]
        texts += [_literal(entry.url, variables)]
    clear = any(is_secret_header(name) and _SCHEMES.sub("", value, count=1).strip() for name, value in fields)
    if clear or any(_hidden(text) for text in texts) or _hidden(_INNER.sub("", template)):
        raise OptionError(
            "a secret in clear would travel with the plan: write {{$env NAME}} in its place, or give auth='env:NAME'", option="auth"
        )


def _hidden(text: str) -> bool:
    """Tell whether a text carries a secret: in a URL, or as a field of JSON or of a form."""
    body = text.encode("utf-8", "replace")
    urls = re.findall(r"\w+://\S+", text)
    kinds = ("application/json", "application/x-www-form-urlencoded")
    secrets = [value for url in urls for value in secret_values(url, ())]
    secrets += [value for kind in kinds for value in secret_values("", (), body.replace(b"'", b'"'), kind)]
    return any(value.strip() for value in secrets)


def _literal(parts: Any, variables: Mapping[str, Any]) -> str:
    """Return what of a template stands in it as it is, cell variables filled in."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Placeholder) and part.text.strip() in variables:
            text += "".join(inner for inner in variables[part.text.strip()].parts if isinstance(inner, str))
    return text


def _referred(reference: str) -> Any:
    """Return the credentials that a reference names.

    Raises:
        UsageError: They are not there.
    """
    home, _, name = reference.partition(":")
    if home == "env":
        value = os.environ.get(name)
        if not value:
            raise UsageError(f"auth: the environment variable {name} is not set on this worker")
        return value
    try:
        return getattr(import_module(home), name)
    except (ImportError, AttributeError):
        raise UsageError(f"auth: {reference} cannot be imported on this worker") from None


def _mark_of(frame: pd.DataFrame, plan: PartitionPlan) -> str:
    """Return the name of a partition's journal: equal rows and an equal template give an equal one."""
    import pandas as pd  # noqa: PLC0415 - see above

    try:
        rows = pd.util.hash_pandas_object(frame).to_numpy().tobytes()
    except TypeError:
        rows = repr(frame.to_dict("split")).encode("utf-8", "replace")
    content = b"\0".join((plan.template.encode(), repr(list(frame.columns)).encode(), rows))
    return blake2b(content, digest_size=12).hexdigest()


def _only_types_are_asked() -> bool:
    """Tell whether Dask calls with made-up rows, to see which columns come back: without ``meta=plan.meta`` it does."""
    if "dask" not in sys.modules:
        return False
    caller: Any = sys._getframe(1)  # noqa: SLF001 - Dask does not tell otherwise
    while caller is not None:
        if caller.f_code.co_name in _ASKING_FOR_TYPES and str(caller.f_globals.get("__name__", "")).startswith("dask"):
            return True
        caller = caller.f_back
    return False
