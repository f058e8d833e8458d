"""Names of the timbre descriptors.

They are apart from :mod:`gansynth_server.analysis.descriptors`, which measures
them, because the message table needs the names alone.
"""

MEASURES = ("brighter", "slower", "longer", "noisier", "purer")
"""Words for more brightness, attack, sustain, noise and harmonicity."""
ADJECTIVES = (
    ("dark", "bright"),
    ("quick", "slow"),
    ("short", "long"),
    ("clear", "breathy"),
    ("rough", "pure"),
)
"""Words for a timbre with little and with much of each."""
MEANINGS = (
    "a brighter timbre: a higher centre of its spectrum",
    "a slower attack",
    "a longer sound: less decay from its loudest to its third second",
    "a noisier timbre: a flatter spectrum",
    "a purer timbre: more of its power at multiples of the note's frequency",
)
