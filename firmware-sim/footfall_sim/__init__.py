"""Sensors that do not exist, the people who pass them, and what goes wrong: on pseudo-terminals and in recordings.

`pedestrians` are the people, as passages; `scene` lets them walk, and `view` is what eyes of limited kinds see of them.
`firmware` with `protocol` is the reference counter as a microcontroller would run it; `modbus` and `line_json` are
counters with totals, `radar` with `ld2450` and `ti_people` the radars. `devices` makes each of its settings, `sensor`
joins one to a `line`, `faults` disturbs it, `truth` is the log of what really happened, `runner` runs many. Nothing
here shares code with the programs that read real counters.
"""
