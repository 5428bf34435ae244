"""Speed, memory and size against named peers, in the same run on the same data: ``make bench``.

Absolute figures belong to the machine they were measured on. What counts is the ratio to the peer beside them.

Each benchmark is a module with a `TITLE`, a `Size` (how much it does, by default what docs/performance.md speaks of), a
`TINY` size that only shows that it runs, and `run(size)`, which returns a `bench.result.Result`.
"""
