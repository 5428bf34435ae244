"""The edge: serial line → counts → slots → outbox → MQTT, on a small box next to the sensors.

The flow is frame → count → slot → report. Each arrow is a pure function in a module of its own: `framer` (bytes to
frames), `reference` and other drivers (frames to counts), `slots` (counts to slots, slots to reports). `outbox` keeps
what was counted until ingest says that it is stored. `agent.run` is the one place that opens ports, sockets and files
and joins the parts.
"""
