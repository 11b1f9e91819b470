"""Runs in parts: `iqa score --output`, on this machine or on a cluster."""
