"""Keys, passwords and tokens (all steps): masked in everything that is shown or stored, refused as parameters."""
