"""How queries arrive: the loops that measure, and the rules that they follow."""
