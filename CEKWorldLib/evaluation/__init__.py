"""Measuring: quality against simulated truth, speed and memory of the engine."""
