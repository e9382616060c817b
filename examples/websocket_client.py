"""Send a text in fragments, as a language model writes it, and receive speech meanwhile.

vocoder serve &
python examples/websocket_client.py [TEXT] [OUT.wav] [URL]
"""

import asyncio
import json
import sys
import wave

import websockets

text = sys.argv[1] if len(sys.argv) > 1 else "Hello there. This text arrives piece by piece."
path = sys.argv[2] if len(sys.argv) > 2 else "speech.wav"
url = sys.argv[3] if len(sys.argv) > 3 else "ws://127.0.0.1:8000"


async def send(socket: websockets.ClientConnection) -> None:
    """Send the text word by word, then say that it is complete."""
    for word in text.split():
        await socket.send(json.dumps({"type": "Speak", "text": f"{word} "}))
        await asyncio.sleep(0.02)
    await socket.send(json.dumps({"type": "Close"}))


async def main() -> None:
    """Send and receive at the same time; binary messages are audio."""
    async with websockets.connect(f"{url}/v1/audio/stream?voice=slt&seed=1") as socket:
        sending = asyncio.create_task(send(socket))
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            async for message in socket:
                if isinstance(message, bytes):
                    file.writeframes(message)
                elif json.loads(message)["type"] == "Metadata":
                    file.setframerate(json.loads(message)["sample_rate"])
            seconds = file.tell() / file.getframerate()
        await sending
    print(f"{path}: {seconds:.2f} s")


asyncio.run(main())
