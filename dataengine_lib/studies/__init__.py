"""Studies: one experiment with several arms and seeds. `read_study` reads and checks the YAML, `run_study` goes through
the runs, each in a process of its own (`child`, started by `local_runs` or `ray_runs`), and `shared_steps` has what
several of them need made once. `plan` says beforehand what that is and costs. Knows no step's work and no statistics."""
