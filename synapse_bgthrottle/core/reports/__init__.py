"""Status, explanation, problems, log lines and warnings, as data and text."""
