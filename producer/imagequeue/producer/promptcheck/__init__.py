"""Finds what makes a prompt likely to need another try, before it is paid for."""
