"""Where images live: recognised by their bytes, named by their content, durable before anyone is told."""
