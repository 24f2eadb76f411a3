"""refused.py LLMC TARGET ARTIFACT TEXT: `llmc run` refuses the artifact, exit 1, with each missing feature or TEXT in the
error; or this host runs the target, and then the artifact."""
import json
import subprocess
import sys

llmc, name, artifact, text = sys.argv[1:]
targets = json.loads(subprocess.run([llmc, "targets", "--json"], capture_output=True, check=True).stdout)
target = next(t for t in targets if t["name"] == name)
run = subprocess.run([llmc, "run", artifact, "--tokens", "1", "-n", "1"], capture_output=True, text=True)
if target["runs_here"]:
    assert run.returncode == 0, run.stderr
else:
    assert run.returncode == 1 and run.stderr.startswith("error: " + artifact), (run.returncode, run.stderr)
    assert text in run.stderr, run.stderr
    if target["arch"] == "x86-64":
        assert all(feature in run.stderr for feature in target["missing"]), run.stderr
