"""Counts the events of a data directory with Python's deltalake and with DuckDB; prints what each counted as JSON.

    python readers.py DATA

Events of types that begin with "$" are the store's own notes and are not counted.
"""

import json
import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable, QueryBuilder

COUNTS = """
    SELECT count(*) AS total, count(DISTINCT event_id) AS different
    FROM events WHERE aggregate_type NOT LIKE '$%'
"""


def by_deltalake(events: DeltaTable, dead_letters: DeltaTable) -> dict:
    query = QueryBuilder().register("events", events).register("dead_letters", dead_letters)

    def ask(sql: str) -> list:
        batch = query.execute(sql).read_all()
        return [column.to_pylist()[0] for column in batch.columns]

    rows, distinct = ask(COUNTS)
    (dead,) = ask("SELECT count(*) AS total FROM dead_letters")
    return {"rows": rows, "distinct": distinct, "dead_letters": dead}


def by_duckdb(data: Path, events: DeltaTable, dead_letters: DeltaTable) -> dict:
    connection = duckdb.connect()
    tables = {"events": events, "dead_letters": dead_letters}
    try:
        connection.execute("INSTALL delta; LOAD delta")
        how = "its delta extension"
        sources = {name: f"delta_scan('{data / name}')" for name in tables}
    except duckdb.Error:
        # The extension is a download of its own. Without it DuckDB reads the table's active files, which the log names.
        how = "the active files"
        sources = {name: f"read_parquet({table.file_uris()!r}, union_by_name = true)" for name, table in tables.items()}
    for name, source in sources.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    rows, distinct = connection.execute(COUNTS).fetchone()
    (dead,) = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
    return {"rows": rows, "distinct": distinct, "dead_letters": dead, "how": how}


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    events, dead_letters = (DeltaTable(str(data / name)) for name in ("events", "dead_letters"))
    print(json.dumps({"deltalake": by_deltalake(events, dead_letters), "duckdb": by_duckdb(data, events, dead_letters)}))


if __name__ == "__main__":
    main()
