"""``catwalk serve``: the champion of a Trainable behind HTTP, swapped for the next one without a failed request."""
