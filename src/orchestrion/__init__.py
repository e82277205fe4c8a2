"""Orchestrion conducts models, agents, tools, databases and people from an open, durable score."""

__version__ = "0.1.0"
