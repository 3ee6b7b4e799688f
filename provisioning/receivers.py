"""Receivers of the floor below: they make rows and enqueue, nothing else."""
