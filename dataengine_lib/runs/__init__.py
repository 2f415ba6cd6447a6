"""One experiment from YAML to report. parameters reads the YAML, workflow lists which step runs when,
parameter_paths finds the files that parameters name, precheck finds errors before the first step, run executes the
notebooks (execution/, notebooks, execute_notebook) and writes manifest, state and lock; cost_plan, doctor, summary,
trace and lineage inform about a run; opened/ opens its folder for exploring.
Computes nothing itself: what a step does is in steps/."""
