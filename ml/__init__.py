"""The models that come with Catwalk, a folder each."""
