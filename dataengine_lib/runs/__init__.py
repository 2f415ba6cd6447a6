"""One experiment from YAML to report: parameters, workflow, precheck, run, manifest, lock, state; and what
is said of it: cost_plan, doctor, summary, trace."""
