"""The OGC SensorThings API 1.1, read-only: stations as Things, their counts as Datastreams (docs/open-data.md)."""
