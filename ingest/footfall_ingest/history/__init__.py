"""History from files of other programs: CSV, read by a mapping, checked, and written as reports like live ones.

mapping (what the columns mean) → `reading` (rows) → `intervals` (what was counted when, every doubt named) → `writing`
(held against what is stored, then the ordinary write path). `footfall_ingest.history.importing` wires them.
"""
