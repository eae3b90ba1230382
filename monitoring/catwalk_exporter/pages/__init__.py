"""The exporter's web pages: plain HTML that needs no JavaScript and nothing from the network."""
