"""One experiment from YAML to report. parameters reads the YAML, workflow says which step runs when, parameter_paths
finds the files they name, precheck checks it all, run executes the notebooks (notebooks, execute_notebook) and keeps
manifest, state and lock; cost_plan, doctor, summary, trace and lineage tell about a run."""
