"""How results look: tables, facts and sentences for a terminal, and the same as plain values."""
