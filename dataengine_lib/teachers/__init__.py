"""Step 3: who writes QAs and how their replies reach the disk. spec names them, loading opens them, batches asks through
the Batch API (batch_api), reply_files makes results, failures and usage from the ledger."""
