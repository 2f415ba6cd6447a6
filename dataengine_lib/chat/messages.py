"""Steps 1, 3 and 4: a picture as OpenAI-compatible servers take it in a chat message."""

import base64
import io
from typing import Any

from PIL import Image


def jpeg_bytes(image: Image.Image, max_side: int) -> bytes:
    """`image` as a JPEG of quality 90, its longest side at most `max_side` pixels; same image, same bytes."""
    scale = max_side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def data_url(jpeg: bytes) -> str:
    """A JPEG as the URL that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def user_message(text: str, image_url: str = "") -> list[dict[str, Any]]:
    """Text, then the image, if there is one: servers cache common beginnings, and OpenAI's documentation shows it so."""
    if not image_url:
        return [{"role": "user", "content": text}]
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image_url}}]
    return [{"role": "user", "content": parts}]
