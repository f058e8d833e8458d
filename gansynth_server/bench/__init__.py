"""How fast all of it is, on this machine: what ``gansynth bench`` measures."""
