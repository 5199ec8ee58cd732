"""Maps for controls, made of pictures by networks of an operator's own."""
