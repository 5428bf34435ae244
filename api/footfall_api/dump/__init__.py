"""Open-data files: all public counts by year and month, in a folder that any web server can serve.

- `plan`: which files there are and what belongs into each. Pure.
- `write`: one table of counts, as CSV and Parquet at once.
- `package`: the descriptions, ``datapackage.json`` and ``SHA256SUMS``. Pure.
- `folder`: files on disk that are whole or not there.
- `run`: from the database to the folder.
- `command`: ``footfall-api dump``.

The files are a public door: the publication rules hold for them, whoever makes them.
"""
