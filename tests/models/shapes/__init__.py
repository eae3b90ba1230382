"""Distinguishes bars, blobs and crosses by a softmax regression in numpy: no torch, no pictures of clothes."""

from tests.models.shapes.model import SHAPES

__all__ = ["SHAPES"]
