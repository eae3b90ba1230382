"""Who is notified, when and how: the receivers' files and their quiet hours."""
