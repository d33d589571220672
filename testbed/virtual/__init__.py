"""Synapse's own updater in virtual time."""
