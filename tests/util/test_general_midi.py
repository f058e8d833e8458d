"""Families of instruments."""

from gansynth_server.util.general_midi import family_of


def test_a_discoverys_family_is_that_of_the_instrument_it_is_named_after():
    assert family_of("slow_pad_4_choir") == family_of("pad_4_choir") == "synth_pad"
    assert family_of("bright_english_horn") == family_of("english_horn")
    assert family_of("theremin") == "theremin"
