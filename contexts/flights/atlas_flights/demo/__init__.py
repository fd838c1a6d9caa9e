"""The demo: the flights of 2013 as events, and the proof that the read models say what the CSV says."""
