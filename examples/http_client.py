"""Ask a server for speech with Python's standard library, and write it as it arrives.

vocoder serve &
python examples/http_client.py [TEXT] [OUT.wav] [URL]
"""

import json
import sys
import urllib.request

text = sys.argv[1] if len(sys.argv) > 1 else "Hello there. This is speech over HTTP."
path = sys.argv[2] if len(sys.argv) > 2 else "speech.wav"
url = sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:8000"

body = {"input": text, "voice": "slt", "seed": 1, "response_format": "wav"}
request = urllib.request.Request(
    f"{url}/v1/audio/speech", json.dumps(body).encode(), {"content-type": "application/json"}
)
total = 0
with urllib.request.urlopen(request) as response, open(path, "wb") as file:
    while data := response.read1():
        total += file.write(data)
print(f"{path}: {total} bytes")
