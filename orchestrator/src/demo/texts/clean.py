"""Cleans a table: trims cells, unifies dates, drops empty and repeated rows.

Usage: clean.py INPUT OUTPUT
"""

import csv
import sys
from datetime import datetime

# Only forms that can be read in one way; 03/04/2025 is not among them.
DATES = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y"]


def clean_date(cell):
    for form in DATES:
        try:
            return datetime.strptime(cell, form).date().isoformat()
        except ValueError:
            pass
    return cell


def main(source, target):
    counts = {"cells trimmed": 0, "dates unified": 0, "empty rows dropped": 0, "repeated rows dropped": 0}
    with open(source, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    header, seen, kept = rows[:1], set(), []
    for row in rows[1:]:
        cleaned = []
        for cell in row:
            trimmed = cell.strip()
            counts["cells trimmed"] += trimmed != cell
            dated = clean_date(trimmed)
            counts["dates unified"] += dated != trimmed
            cleaned.append(dated)
        if not any(cleaned):
            counts["empty rows dropped"] += 1
        elif tuple(cleaned) in seen:
            counts["repeated rows dropped"] += 1
        else:
            seen.add(tuple(cleaned))
            kept.append(cleaned)
    with open(target, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(header + kept)
    for what, number in counts.items():
        print(f"{what}: {number}")
    print(f"rows before: {max(len(rows) - 1, 0)}")
    print(f"rows after: {len(kept)}")


main(*sys.argv[1:3])
