"""The long runs: faults, kills and 10^5 iterations on real servers, 10^5 configurations."""
