"""The decision to ship or hold: compares a challenger with the champion and the anchor, by paired tests."""
