"""Speech over WebSockets: this server's own protocol, and Deepgram's."""
