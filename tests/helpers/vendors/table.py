"""Every vendor of the table."""

from vendors.anthropic import ANTHROPIC
from vendors.desktop_servers import LLAMA_CPP, LM_STUDIO, OLLAMA
from vendors.dialect import Vendor
from vendors.gpu_servers import FASTAPI, SGLANG, TGI, VLLM
from vendors.hosts import GROQ, SILICONFLOW, TOGETHER
from vendors.labs import DEEPSEEK, GEMINI, MISTRAL, MOONSHOT
from vendors.openai_azure import AZURE, OPENAI
from vendors.routers import LITELLM, OPENROUTER

VENDORS: tuple[Vendor, ...] = (
    OPENAI, AZURE, OPENROUTER, MISTRAL, GEMINI, DEEPSEEK, GROQ, TOGETHER, SILICONFLOW, MOONSHOT, VLLM, SGLANG, TGI,
    OLLAMA, LM_STUDIO, LLAMA_CPP, LITELLM, FASTAPI, ANTHROPIC,
)  # fmt: skip
