# SPDX-License-Identifier: GPL-2.0
"""results.json: one header, and one record a run."""

import json
import os

# What a record is made of: (types, may it be None).
FIELDS = {
    "system": ((str,), False), "workload": ((str,), False),
    "memory_share": ((int, float), True), "threads": ((int,), False),
    "seconds": ((int, float), True), "slowdown": ((int, float), True),
    "major_faults": ((int,), True), "bytes_in": ((int,), True),
    "bytes_out": ((int,), True), "cpu_processor": ((int, float), True),
    "cpu_memory": ((int, float), True), "note": ((str,), False),
}
HEADER = ("kernel", "commit", "parameters", "read_4k_p50_us", "read_bandwidth_mb_s")

# The system that others are compared with.
BASE = "no limit"


class BadResults(Exception):
    """A results.json that is not one, with the reason."""


def record(**values):
    """A record; what is not given is None, the note empty."""
    made = {**dict.fromkeys(FIELDS), "note": "", **values}
    check_record(made)
    return made


def check_record(row):
    """Raises BadResults unless ROW is a record."""
    if not isinstance(row, dict) or set(row) != set(FIELDS):
        raise BadResults(f"a record has the fields {', '.join(FIELDS)}: {row}")
    for name, (types, may_miss) in FIELDS.items():
        value = row[name]
        if value is None and may_miss:
            continue
        if not isinstance(value, types) or isinstance(value, bool):
            raise BadResults(f"{name} is {value!r}: {row}")
        if not isinstance(value, str) and value < 0:
            raise BadResults(f"{name} is negative: {row}")
    if row["seconds"] is None and not row["note"]:
        raise BadResults(f"a run without time says why in its note: {row}")


def check(document):
    """Raises BadResults unless DOCUMENT is what results.json holds."""
    if not isinstance(document, dict) or set(document) != {"header", "runs"}:
        raise BadResults("results.json has a header and runs")
    missing = [name for name in HEADER if name not in document["header"]]
    if missing:
        raise BadResults(f"the header lacks {', '.join(missing)}")
    for row in document["runs"]:
        check_record(row)


def key(row):
    """What runs of different systems have in common when they can be compared."""
    return row["workload"], row["threads"]


def fill_slowdowns(rows):
    """Sets slowdown of each of ROWS: its time over that without limit."""
    base = {key(row): row["seconds"] for row in rows
            if row["system"] == BASE and row["seconds"]}
    for row in rows:
        if row["seconds"] is not None and key(row) in base:
            row["slowdown"] = round(row["seconds"] / base[key(row)], 3)


# How the note of a run begins whose memory did not hold what was written.
WRONG = "WRONG RESULT"


def spoil(row, why):
    """ROW has a wrong result: it has no time, whatever it took."""
    row.update(seconds=None, slowdown=None, note=f"{WRONG}: {why}; {row['note']}")


def is_wrong(row):
    """Whether ROW is one that spoil() had."""
    return row["note"].startswith(WRONG)


def load(path):
    """The document in file PATH, checked."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise BadResults(f"{path}: {error}") from None
    check(document)
    return document


def save(path, document):
    """Writes DOCUMENT, checked, to file PATH; whoever reads it meanwhile sees all of one."""
    check(document)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)
