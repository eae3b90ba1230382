"""The decision to ship or hold: a candidate against the champion and the anchor, by paired tests."""
