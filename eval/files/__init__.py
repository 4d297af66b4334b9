"""Files of rows that people bring: JSON lines, tables, packed or not; gold answers out of them."""
