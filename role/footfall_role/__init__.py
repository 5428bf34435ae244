"""What every process of footfall has, written once: settings, logs, metrics, MQTT, a stop, and the service manager.

No rule of counting lives here. The modules are imported one by one, so that a role pays only for what it uses
(``extras`` needs nothing but the standard library).
"""
