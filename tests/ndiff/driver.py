# Reads file names and pairs from standard input as JSON, and writes what ndiff finds, as JSON. Imports ndiff once,
# because starting it for each of some hundred pairs takes a minute. "command" lists pairs for which /usr/bin/ndiff
# itself is run.
import io, json, subprocess, sys
import xml.etree.ElementTree as tree

sys.path.append("/usr/lib/python3/dist-packages")
import ndiff

def address(host):
    for child in host.iter("address"):
        if child.get("addrtype", "ipv4") != "mac":
            return child.get("addr")

def open_ports(element):
    ports = [] if element is None else element.iter("port")
    states = [(port, port.find("state")) for port in ports]
    return {f"{port.get('portid')}/{port.get('protocol')}" for port, state in states if state is not None and state.get("state") == "open"}

def is_up(element):
    status = None if element is None else element.find(".//status")
    return status is not None and status.get("state") == "up"

def lines(text):
    new, gone = set(), set()
    for diff in tree.fromstring(text).iter("hostdiff"):
        for side, where in (("a", gone), ("b", new)):
            for host in diff.findall(f"{side}/host"):
                if is_up(host):
                    where.add(f"host {address(host)}")
                where |= {f"port {address(host)} {port}" for port in open_ports(host)}
        host = diff.find("host")
        if host is None:
            continue
        was, now = is_up(host.find("a")), is_up(host.find("b"))
        if was != now:
            (gone if was else new).add(f"host {address(host)}")
        for port in host.iter("portdiff"):
            before, after = open_ports(port.find("a")), open_ports(port.find("b"))
            gone |= {f"port {address(host)} {port}" for port in before - after}
            new |= {f"port {address(host)} {port}" for port in after - before}
    return {"new": sorted(new), "gone": sorted(gone)}

def file_facts(name):
    root = tree.parse(name).getroot()
    probed = {info.get("protocol"): info.get("services") for info in root.iter("scaninfo")}
    silent = []
    for host in root.iter("host"):
        if any(extra.get("state") == "open|filtered" for extra in host.iter("extraports")):
            listed = [f"{port.get('portid')}/{port.get('protocol')}" for port in host.iter("port")]
            silent.append({"address": address(host), "but": listed})
        for port in host.iter("port"):
            if port.find("state").get("state") == "open|filtered":
                silent.append({"address": address(host), "port": f"{port.get('portid')}/{port.get('protocol')}"})
    return {"probed": probed, "silent": silent}

def load(name):
    scan = ndiff.Scan()
    scan.load_from_file(name)
    return scan

def main():
    task = json.load(sys.stdin)
    scans, failed = {}, {}
    for name in task["files"]:
        try:
            scans[name] = load(name)
        except Exception as error:
            failed[name] = repr(error)
    pairs = []
    for a, b in task["pairs"]:
        if a in scans and b in scans:
            out = io.StringIO()
            ndiff.ScanDiffXML(scans[a], scans[b], out).output()
            pairs.append({"a": a, "b": b, **lines(out.getvalue())})
    for a, b in task["command"]:
        out = subprocess.run(["/usr/bin/ndiff", "--xml", a, b], capture_output=True, text=True)
        if out.returncode not in (0, 1):
            raise SystemExit(out.stderr)
        pairs.append({"a": a, "b": b, **lines(out.stdout)})
    json.dump({"pairs": pairs, "failed": failed, "files": {name: file_facts(name) for name in task["files"]}}, sys.stdout)

main()
