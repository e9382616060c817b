"""The commands of ``vocoder``, by what they are for, and the options they share."""
