"""Counts as NGSI-LD entities, for context brokers: written (`entity`), served (`routes`), sent to a broker (`push`)."""
