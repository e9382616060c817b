"""Abbreviations and what they stand for."""

from vocoder.text.characters import words

NEVER_LAST = words(
    "dr mr mrs ms prof rev hon gen col capt lt sgt cpl maj cmdr adm gov sen rep "
    "pres supt messrs mmes fr st mt ft vs e.g i.e cf viz al ca approx vol vols fig figs pp ed eds "
    "tel ext dept est min max"
)
"""Without their last stop, in small letters: no sentence ends after them."""

OFTEN_LAST = words(
    "a.m p.m u.s u.k u.s.a u.n e.u etc jr sr inc ltd co corp bros ave blvd rd "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun "
    "ph.d m.d b.a m.a b.c a.d d.c esq hr hrs mi km kg lb lbs oz in"
)
"""A sentence ends after them only where the next word is one that often begins a sentence."""
