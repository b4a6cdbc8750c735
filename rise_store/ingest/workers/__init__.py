"""Processes of this machine that each hold the model."""
