"""A classifier of Fashion-MNIST's images: a multilayer perceptron, trained by stochastic gradient descent."""
