"""Sensors that do not exist: reference counters on pseudo-terminals, the people who pass them, and what goes wrong.

`protocol` and `firmware` are the counter as a microcontroller would run it, `pedestrians` the people, `line` the serial
line, `faults` what disturbs it, `truth` the log of what really happened. `sensor` joins them to one simulated counter
and `runner` runs many. Nothing here shares code with the programs that read real counters.
"""
