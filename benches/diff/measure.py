# Runs the program that stands in the arguments as a process of its own, its output thrown away, and writes what it took
# as JSON: elapsed seconds, processor seconds, and the most memory it held, as the kernel counted them.
import json, resource, subprocess, sys, time

start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
elapsed = time.monotonic() - start
if done.returncode not in (0, 1):
    raise SystemExit(f"{sys.argv[1]} ended with {done.returncode}")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"elapsed": elapsed, "processor": used.ru_utime + used.ru_stime, "peak_kib": used.ru_maxrss}))
