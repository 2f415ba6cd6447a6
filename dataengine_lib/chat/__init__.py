"""Asking a model behind an OpenAI-compatible server. client sends one request, in the request_format that the server
accepts, rate_control decides when, server_errors what an error means; paid_requests asks many within a budget and
into the ledger. Knows no queries, questions or images."""
