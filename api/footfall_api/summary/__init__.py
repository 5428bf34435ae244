"""Summaries of counts for planners: the typical week, the comparison with what is usual, and totals.

Pure functions over `series.Series` hold the rules; they know neither the database nor HTTP. One rule stands above all:
a value goes into a summary only if its whole interval was measured, and whatever did not go in is counted and named.
"""
