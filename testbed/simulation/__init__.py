"""A modelled server in virtual time, on which the real decision code runs. Pure.

`World` is a run; `presets` has servers, clients and updates; `record.Record` has the results.
"""
