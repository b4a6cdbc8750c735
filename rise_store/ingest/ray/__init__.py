"""Machines of a Ray cluster that each hold the model."""
