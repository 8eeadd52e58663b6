"""The original with what was read in it as invisible text: for searching, marking and copying in any viewer."""
