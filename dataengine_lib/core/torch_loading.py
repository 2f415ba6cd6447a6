"""What a student (steps 1 and 5) and an encoder (step 2) may compute in; auto is for each to choose by its device."""

from typing import Literal

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
