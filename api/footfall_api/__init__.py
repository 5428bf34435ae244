"""The HTTP API: counts with their coverage and state, the stations, a live stream, metrics and pages. It only reads.

A question goes through these steps: its times and interval edges are worked out (`times`, `intervals`), PostgreSQL
adds up what was measured between the edges (`tally`), a rule turns that evidence into an answer with a state
(`answers`), and the answer is written as JSON or CSV (`writing`). The page and the live stream show the `board`,
which is made the same way.
"""
