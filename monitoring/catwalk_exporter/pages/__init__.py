"""The exporter's web pages: plain HTML that needs neither JavaScript nor anything from the network."""
