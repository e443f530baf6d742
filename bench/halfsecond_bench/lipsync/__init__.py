"""How well lips move, by what is seen on the pictures."""
