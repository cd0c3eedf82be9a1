// Keys that save a hand the way to the mouse. They sleep in fields, with Ctrl, Alt or Meta, and when they are switched off.
(() => {
  "use strict";

  const patience = 1500; // how long the second key of a pair may take
  const places = { o: "Overview", a: "Alerts", r: "Reports", h: "Hosts", s: "Scans", n: "Nodes" };
  let waitsForPlace = 0;

  function areOn() {
    if (document.documentElement.dataset.shortcuts === "off") return false;
    try {
      return localStorage.getItem("keys") !== "off";
    } catch {
      return true;
    }
  }

  function isField(element) {
    return element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));
  }

  function go(key) {
    const links = [...document.querySelectorAll("#places a")];
    links.find((link) => link.querySelector("span")?.textContent === places[key])?.click();
  }

  function rows() {
    const all = document.querySelectorAll("main table.rows tbody tr, main ul.list > li, main ol.timeline > li, main .cards > article");
    return [...all].filter((row) => row.offsetParent && row.querySelector("a[href]"));
  }

  function here() {
    return rows().find((row) => row.contains(document.activeElement) || row.classList.contains("here"));
  }

  function step(by) {
    const all = rows();
    const current = all.indexOf(here());
    const next = all[current < 0 ? (by > 0 ? 0 : all.length - 1) : current + by];
    if (!next) return;
    document.querySelector(".here")?.classList.remove("here");
    next.classList.add("here");
    next.querySelector("a[href]").focus();
  }

  function tick() {
    here()?.querySelector("input[type=checkbox]")?.click();
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || isField(event.target) || !areOn()) return;
    if (document.querySelector("dialog[open]")) return;
    const isPlace = Date.now() < waitsForPlace && places[event.key];
    waitsForPlace = 0;
    if (isPlace) go(event.key);
    else if (event.key === "/") document.getElementById("find")?.focus();
    else if (event.key === "g") waitsForPlace = Date.now() + patience;
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "x") tick();
    else if (event.key === "?") document.querySelector("header.top a[href$='/help']")?.click();
    else return;
    event.preventDefault();
  }

  // The switch on the page of help.
  function startSwitch() {
    const box = document.getElementById("keys-on");
    if (!box) return;
    box.closest("[hidden]")?.removeAttribute("hidden");
    box.checked = areOn();
    box.addEventListener("change", () => {
      try {
        if (box.checked) localStorage.removeItem("keys");
        else localStorage.setItem("keys", "off");
      } catch { /* storage may be forbidden: the keys stay as they are */ }
    });
  }

  document.addEventListener("keydown", onKey);
  startSwitch();
})();
