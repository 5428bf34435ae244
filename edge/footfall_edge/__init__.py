"""The edge: serial line → counts → slots → outbox → MQTT, on a small box next to the sensors.

The flow is frame → count → slot → report. Each arrow is a pure function in a module of its own: `framer` (bytes to
frames), the drivers (frames to counts), `slots` (counts to slots, slots to reports). `outbox` keeps what was counted
until ingest says that it is stored. `agent.count` is the one place that opens ports, sockets and files and joins the
parts; `agent.run` does it with serial lines, `lorawan.bridge` with a network server's broker.

`drivers` says what a driver is. Those of sensors that show people (`ld2450`, `ti_people`) share `tracker` with
`tracking`, `crossing` and `geometry`; those with running totals (`modbus`, `line_json`) share `totals`; all that stamp
nothing themselves share `sheet`.
"""
