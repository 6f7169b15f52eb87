"""Writes exported rows as Parquet: exact decimals, moments with their time zone, one row group at a time."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagequeue.config.errors import ImageQueueError, JobRefused
from imagequeue.ledger.export import (
    ROWS_PER_READ,
    FlatRow,
    is_moment,
    is_money,
    readable_names,
    typed,
)

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # it comes without types

USD_DIGITS: Final = 28
USD_DECIMALS: Final = 9
WHOLE: Final = (
    "id",
    "n",
    "images_requested",
    "credits",
    "images",
    "status_code",
    "writer_id",
    "seq",
    "attempt_id",
)
"""Columns of whole numbers; what is neither these nor money nor a moment is text."""


def write_parquet(output: Path | None, columns: tuple[str, ...], rows: Iterator[FlatRow]) -> int:
    """Write the rows and return how many; memory holds one row group."""
    if output is None:
        raise JobRefused("output", "--output FILE is needed for parquet, which is no text")
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ImageQueueError("format: parquet needs pyarrow: pip install 'imagequeue[parquet]'") from error
    schema = _schema(columns)
    written = 0
    try:
        with parquet.ParquetWriter(output, schema, compression="zstd") as writer:
            while group := [typed(columns, row) for row in islice(rows, ROWS_PER_READ)]:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                written += len(group)
    except OSError as error:
        raise ImageQueueError(f"output: cannot write {output}: {error.strerror or error}") from error
    return written


def _schema(columns: tuple[str, ...]) -> "pa.Schema":
    import pyarrow as pa

    def kind(column: str) -> "pa.DataType":
        if is_money(column):
            return pa.decimal128(USD_DIGITS, USD_DECIMALS)
        if is_moment(column):
            return pa.timestamp("us", tz="UTC")
        return pa.int64() if column in WHOLE else pa.string()

    return pa.schema([(name, kind(column)) for name, column in zip(readable_names(columns), columns, strict=True)])
