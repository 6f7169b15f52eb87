"""The HTTP door: jobs in, images and figures out, and the image API's own contract for apps that speak that."""
