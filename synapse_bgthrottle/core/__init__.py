"""Decides. Pure: no Synapse, no Twisted, no clock, no I/O. Time is an argument."""
