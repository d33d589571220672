"""How long pending updates will take, and what another configuration would cost. Pure.

`forecasting.forecast` is the whole of it; `results` is what it answers.
"""
