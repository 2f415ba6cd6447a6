"""Text and image as a chat message of OpenAI's API (steps 0, 1, 3 and 4)."""

import base64
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


def jpeg_bytes(image: "Image.Image", max_side: int) -> bytes:
    """`image` as a JPEG of quality 90, its longer side at most `max_side` pixels. The same image gives the same bytes."""
    from PIL.Image import Resampling  # here, since steps 0 and 3 mostly send text

    scale = max_side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Resampling.LANCZOS)
    stream = io.BytesIO()
    # JPEG has no transparency and no palette.
    image.convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def data_url(jpeg: bytes) -> str:
    """A JPEG file as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def user_message(text: str, image_url: str = "") -> list[dict[str, Any]]:
    """The messages of a chat with one message, of the user: the text, then the image if there is one.

    The text comes first because servers cache common beginnings of prompts. Source: OpenAI's guide "Images and vision".
    """
    if not image_url:
        return [{"role": "user", "content": text}]
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image_url}}]
    return [{"role": "user", "content": parts}]
