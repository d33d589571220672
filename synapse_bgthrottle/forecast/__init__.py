"""How long pending updates will take, and what another configuration would cost. Pure.

`forecast.forecast` is the whole of it; `models` has what it answers.
"""
