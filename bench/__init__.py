"""Speed and memory against named peers, in the same run on the same data: ``make bench``.

Absolute figures belong to the machine they were measured on. What counts is the ratio to the peer beside them.
"""
