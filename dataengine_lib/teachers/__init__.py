"""Steps 0 and 3: who gives questions their types and writes QAs, and how replies reach the disk. spec names
teachers, loading opens them, question_classifier and query_asker send the requests, batches asks through the Batch
API (batch_api), reply_files makes results, failures and usage from the ledger. Knows no checks, no training and no
student."""
