"""One module for each page: from the door's answers to markup. Pure, but for the handler that asks."""
