"""Scenarios, records and reports; pytest-benchmark suites."""
