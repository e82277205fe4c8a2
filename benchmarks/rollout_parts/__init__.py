"""Simulated rollouts, and ways to decide them."""
