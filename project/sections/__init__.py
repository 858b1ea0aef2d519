"""Values of attributes, and names that refer to each other, which all sections share."""
