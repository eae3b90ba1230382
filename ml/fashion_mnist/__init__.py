"""A classifier of Fashion-MNIST's images: a multilayer perceptron, trained by stochastic gradient descent."""

from ml.fashion_mnist.classifier import CLASSIFIER

__all__ = ["CLASSIFIER"]
