"""The models that come with Catwalk, one folder each."""
