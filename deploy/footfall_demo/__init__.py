"""The whole city on one machine: database, broker, aggregator, API, edge boxes and simulated counters, one command.

It wires the other roles together as a deployment would, each as a process of its own with its settings file, and adds
nothing to what they do. It may import every other part; none of them knows it.
"""
