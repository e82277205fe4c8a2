"""The service desk, and what befalls its models."""
