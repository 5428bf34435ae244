"""People counters on LoRaWAN, whose uplinks a network server hands on over MQTT.

A network server's message → `uplink.Uplink` → `reading.Reading` → counts (`session`). All of that is pure; `bridge` has
the connection, `settings` what may stand in bridge.toml. `uplink` reads the messages of ChirpStack and of The Things
Stack; `payloads` decodes the device's own bytes, with one module per maker. What a payload formatter on the network
server made of them is not believed: anybody with access to its console can change it, and published ones err.
"""
