"""Ask: how a request is written, sent, paced and read."""
