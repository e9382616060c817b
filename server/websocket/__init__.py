"""Speech over WebSockets: our own protocol, and Deepgram's."""
