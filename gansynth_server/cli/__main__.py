"""``python -m gansynth_server.cli``: the command ``gansynth``, where it is not installed."""

from gansynth_server.cli import main

main()
