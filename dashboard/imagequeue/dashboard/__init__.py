"""The web page: what waits, runs, costs and went wrong, for the person on call. A client of the HTTP door."""
