"""What services say to each other: one module per publisher. A published version only gains optional fields."""
