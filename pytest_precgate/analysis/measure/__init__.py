"""Records of requests become a point, or the reason why they are none."""
