"""Text normalisation: numbers, dates, quantities, addresses and abbreviations to words."""
