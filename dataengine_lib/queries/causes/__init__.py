"""Step 2: named causes below a question type. features turns bad cases into vectors, clusters groups them, naming finds a
group's words, even_sampling draws from all groups alike, causes_file holds what is found, find_causes joins these."""
