"""Loads a CSV file into a DuckDB database file, and groups its rows by the first column on request."""

import argparse
import os

import duckdb

parser = argparse.ArgumentParser()
parser.add_argument("input")
parser.add_argument("database")
parser.add_argument("--group", action="store_true", help="store a list of rows for each account, in input order")
args = parser.parse_args()

if os.path.exists(args.database):
    os.remove(args.database)
connection = duckdb.connect(args.database)
connection.execute("CREATE TABLE row AS SELECT * FROM read_csv(?, header = true, all_varchar = true)", [args.input])
if args.group:
    account, *others = [column[0] for column in connection.execute("DESCRIBE row").fetchall()]
    items = ", ".join(others) or account
    connection.execute(
        f"CREATE TABLE request AS SELECT {account}, list(({items}) ORDER BY rowid) AS items, min(rowid) AS first_row "
        f"FROM row GROUP BY {account} ORDER BY first_row"
    )
connection.close()
