"""What the measures of a timbre are called; apart, for the table of messages needs no more."""

MEASURES = ("brighter", "slower", "longer", "noisier", "purer")
"""What more of each is called: of brightness, attack, sustain, noise, harmonicity."""
ADJECTIVES = (
    ("dark", "bright"),
    ("quick", "slow"),
    ("short", "long"),
    ("clear", "breathy"),
    ("rough", "pure"),
)
"""What a timbre is called that has little or much of each."""
MEANINGS = (
    "a brighter timbre: a higher centre of its spectrum",
    "a slower attack",
    "a longer sound: less decay from its loudest to its third second",
    "a noisier timbre: a flatter spectrum",
    "a purer timbre: more of its power at multiples of the note's frequency",
)
