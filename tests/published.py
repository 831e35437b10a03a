"""Compares a published table with the rows that it must have, read with Python's deltalake and with DuckDB, and with
what its change data feed comes to; prints how many rows each has, and how often the table was written anew and merged.

    python published.py TABLE EXPECTED

EXPECTED is JSON Lines, a row each: `{"_key": …, "_valid_from": µs, "_valid_to": µs or null, "row": {…}}`.
"""

import base64
import datetime
import decimal
import json
import sys

import duckdb
from deltalake import DeltaTable, QueryBuilder

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
FEED = ("_change_type", "_commit_version", "_commit_timestamp")


def micros(moment: datetime.datetime) -> int:
    return (moment.astimezone(datetime.timezone.utc) - EPOCH) // datetime.timedelta(microseconds=1)


def is_same(value, expected) -> bool:
    """Whether what a reader gives is what a row's JSON says."""
    if value is None or expected is None:
        # JSON's own null in a column of JSON is none.
        return value is None and expected is None
    match value:
        case bool():
            return value is expected
        case int():
            return value == int(expected)
        case float():
            return repr(value) == repr(float(expected))
        case decimal.Decimal():
            try:
                return value == decimal.Decimal(str(expected))
            except decimal.InvalidOperation:
                return False
        case datetime.datetime():
            there = datetime.datetime.fromisoformat(expected)
            return value.replace(tzinfo=None) == there.replace(tzinfo=None) if value.tzinfo is None else value == there
        case datetime.date():
            return value.isoformat() == expected
        case bytes():
            return value == base64.b64decode(expected)
        case list():
            return len(value) == len(expected) and all(map(is_same, value, expected))
        case str() if isinstance(expected, str):
            return value == expected
        case str():
            return json.loads(value) == expected
    raise TypeError(f"{value!r} of {type(value)}")


def identity(row: dict) -> tuple:
    return row["_key"], micros(row["_valid_from"])


def compare(reader: str, rows: list[dict], expected: dict[tuple, dict]) -> int:
    found = {identity(row): row for row in rows}
    if len(found) != len(rows):
        sys.exit(f"{reader}: {len(rows) - len(found)} rows are there twice")
    if found.keys() != expected.keys():
        more, fewer = found.keys() - expected.keys(), expected.keys() - found.keys()
        sys.exit(f"{reader}: {len(more)} rows too many {sorted(more)[:3]}, {len(fewer)} missing {sorted(fewer)[:3]}")
    for key, row in found.items():
        wanted = expected[key]
        if "_valid_to" in row:
            end = row["_valid_to"]
            if (None if end is None else micros(end)) != wanted["_valid_to"]:
                sys.exit(f"{reader}: {key} ends at {end}, not at {wanted['_valid_to']}")
        for name, value in row.items():
            if not name.startswith("_") and not is_same(value, wanted["row"].get(name)):
                sys.exit(f"{reader}: {key} has {name} {value!r}, not {wanted['row'].get(name)!r}")
    return len(rows)


def rows_of(table) -> list[dict]:
    columns = {name: table.column(name).to_pylist() for name in table.schema.names}
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def by_duckdb(table: DeltaTable) -> list[dict]:
    files = table.file_uris()
    if not files:
        return []
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    # Its Delta extension is a download of its own: the table's files are those that the log names.
    found = connection.execute("SELECT * FROM read_parquet($files, union_by_name = true)", {"files": files})
    names = [column[0] for column in found.description]
    return [dict(zip(names, row)) for row in found.fetchall()]


def by_feed(table: DeltaTable) -> list[dict]:
    """What the changes come to, one commit after the other."""
    there: dict[tuple, dict] = {}
    changes = rows_of(table.load_cdf(starting_version=0).read_all())
    changes.sort(key=lambda change: (change["_commit_version"], "delete update_preimage".find(change["_change_type"]) < 0))
    for change in changes:
        row = {name: value for name, value in change.items() if name not in FEED}
        match change["_change_type"]:
            case "insert" | "update_postimage":
                if there.setdefault(identity(row), row) is not row:
                    sys.exit(f"the feed brings {identity(row)} twice")
            case "delete" | "update_preimage":
                if there.pop(identity(row), None) != row:
                    sys.exit(f"the feed takes {identity(row)}, which is not there so")
    return list(there.values())


def main() -> None:
    table = DeltaTable(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as lines:
        expected = [json.loads(line) for line in lines]
    expected = {(row["_key"], row["_valid_from"]): row for row in expected}
    read = QueryBuilder().register("t", table).execute("SELECT * FROM t").read_all()
    found = {"deltalake": rows_of(read), "duckdb": by_duckdb(table), "feed": by_feed(table)}
    counts = {reader: compare(reader, rows, expected) for reader, rows in found.items()}
    operations = [commit["operation"] for commit in table.history()]
    print(json.dumps({"rows": counts, "replaced": operations.count("WRITE"), "merged": operations.count("MERGE")}))


if __name__ == "__main__":
    main()
