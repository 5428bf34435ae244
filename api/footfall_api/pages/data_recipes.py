"""Pieces of program that read an address of the API, to be copied as they are.

An address has nothing but letters, digits and ``-._~:/?&=,%``: it means the same between quotes in a shell, in Python
and in R.
"""


def curl(address: str, *, saves: bool) -> str:
    """A command for sh, PowerShell and the Windows command line; it `saves` a file under the name the API gives it."""
    return f'curl {"-OJ " if saves else ""}"{address}"'


def python(address: str, gap: str, words: tuple[str, str]) -> str:
    """Python without any package; `gap` is a comment and `words` what is printed between the numbers."""
    return f"""\
import csv
import io
import urllib.request

address = "{address}"
with urllib.request.urlopen(address) as answer:
    rows = list(csv.DictReader(io.TextIOWrapper(answer, "utf-8", newline="")))

# {gap}
counts = [int(row["count"]) for row in rows if row["count"] != ""]
print(len(counts), "{words[0]}", len(rows), "{words[1]}", sum(counts))"""


def pandas(address: str, zone: str, gap: str) -> str:
    """Python with pandas; `gap` is a comment."""
    return f"""\
import pandas as pd

address = "{address}"
# {gap}
counts = pd.read_csv(address, dtype={{"count": "Int64"}})
for column in ("interval_start", "interval_end"):
    counts[column] = pd.to_datetime(counts[column], utc=True).dt.tz_convert("{zone}")
print(counts.groupby("direction")["count"].sum(min_count=1))
print(counts["state"].value_counts())"""


def r(address: str, zone: str, gap: str) -> str:
    """R without any package; `gap` is a comment."""
    return f"""\
address <- "{address}"
# {gap}
counts <- read.csv(address, na.strings = "", encoding = "UTF-8")
moment <- function(text) as.POSIXct(
  sub(":([0-9]{{2}})$", "\\\\1", text), format = "%Y-%m-%dT%H:%M:%S%z", tz = "{zone}"
)
counts$interval_start <- moment(counts$interval_start)
counts$interval_end <- moment(counts$interval_end)
aggregate(counts["count"], counts["direction"], sum, na.rm = TRUE)
table(counts$state)"""
