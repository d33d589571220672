"""One decision for each iteration: what holds it, how long it rests, how large it is. Imports
`adaptive`, `levers` and what these import."""
