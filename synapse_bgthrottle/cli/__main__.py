"""`python -m synapse_bgthrottle.cli`, where the command is not on the PATH."""

from synapse_bgthrottle.cli import main

if __name__ == "__main__":
    main()
