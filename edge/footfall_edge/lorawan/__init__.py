"""People counters on LoRaWAN, whose uplinks a network server hands on over MQTT. Pure: no connection, no clock.

A network server's message → `uplink.Uplink` → `reading.Reading`. `uplink` reads the messages of ChirpStack and of The
Things Stack; `payloads` decodes the device's own bytes, with one module per maker. What a payload formatter on the
network server made of them is not believed: anybody with access to its console can change it, and published ones err.
"""
