"""The demonstration: everything on this machine against the simulated provider, and an account at the end."""
