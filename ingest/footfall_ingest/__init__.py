"""From MQTT to the database: decode, drop what was received before, judge, add up by minute, write, then acknowledge.

The package owns the schema of the store and its migrations. The flow, in the order of the modules: ``subscriber``
receives, ``flush.write_batch`` is one transaction (``streams`` knows what was received, ``judge`` what can be used,
``aggregate`` adds up, ``store`` reads and writes rows), ``process`` wires it together and acknowledges after the
commit.
"""
