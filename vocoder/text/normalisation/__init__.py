"""Written forms as words: numbers, dates, quantities, addresses, abbreviations."""
