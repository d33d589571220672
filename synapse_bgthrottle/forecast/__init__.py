"""Forecasts how long pending updates will take, also with another configuration. Pure.

Start with `forecast.forecast`; `models` has its results.
"""
