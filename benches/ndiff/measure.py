# Runs a program as a process of its own and writes what it took as JSON: elapsed seconds, processor seconds, and the
# most memory it held, as the kernel counted them. Arguments: the file that takes its output, and the program with its own.
import json, resource, subprocess, sys, time

with open(sys.argv[1], "wb") as output:
    start = time.monotonic()
    done = subprocess.run(sys.argv[2:], stdout=output)
    elapsed = time.monotonic() - start
# ndiff ends with 1 when the documents differ.
if done.returncode != 0 and not (done.returncode == 1 and sys.argv[2].endswith("/ndiff")):
    raise SystemExit(f"{sys.argv[2]} ended with {done.returncode}")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"elapsed": elapsed, "processor": used.ru_utime + used.ru_stime, "peak_kib": used.ru_maxrss}))
