// What a page can do with script: switch colours, tell whether it is live, keep forms from being sent twice.
(() => {
  "use strict";

  const themes = ["system", "light", "dark"];

  function chosenTheme() {
    return document.documentElement.dataset.theme ?? "system";
  }

  function showTheme(button) {
    const words = { system: "as the system", light: "light", dark: "dark" };
    button.dataset.shown = chosenTheme();
    button.setAttribute("aria-label", `Colours: ${words[chosenTheme()]}. Change`);
    button.title = button.getAttribute("aria-label");
  }

  function chooseTheme(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch { /* storage may be forbidden: the choice lasts for this page */ }
  }

  function startThemeSwitch() {
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    showTheme(button);
    button.addEventListener("click", () => {
      chooseTheme(themes[(themes.indexOf(chosenTheme()) + 1) % themes.length]);
      showTheme(button);
    });
  }

  function startLiveIndicator() {
    const live = document.getElementById("live");
    if (!live) return;
    const word = live.querySelector(".live-word");
    const show = (state, text) => {
      live.hidden = false;
      live.dataset.state = state;
      if (word.textContent !== text) word.textContent = text;
    };
    live.addEventListener("htmx:sse:after:connection", () => show("on", "live"));
    live.addEventListener("htmx:sse:error", () => show("off", "reconnecting"));
    live.addEventListener("htmx:error", () => show("off", "reconnecting"));
    live.addEventListener("htmx:sse:close", () => show("off", "reconnecting"));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) show("off", "paused");
    });
    window.addEventListener("offline", () => show("off", "reconnecting"));
  }

  // A page that is left ends its requests itself: cut off by the browser, they would look like faults on the console.
  function endRequestsWithPage() {
    const patience = 30000; // a navigation that never comes leaves the page live again
    let isLeaving = false;
    window.addEventListener("beforeunload", () => {
      isLeaving = true;
      setTimeout(() => { isLeaving = false; }, patience);
      for (const element of document.querySelectorAll("[data-htmx-powered], #live")) {
        element._htmx_state?.rq?.abort();
        element._htmx?.sse?.abortController?.abort();
      }
    });
    // The second: a stream that was ended would be opened anew while the next page is still on its way.
    for (const begins of ["htmx:before:request", "htmx:sse:before:connection"]) {
      document.addEventListener(begins, (event) => {
        if (isLeaving) event.preventDefault();
      });
    }
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
  }

  function holdSentForms() {
    document.addEventListener("submit", (event) => {
      if (event.target.method !== "post") return;
      const button = event.submitter;
      if (button) button.setAttribute("aria-busy", "true");
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "yes";
    });
    window.addEventListener("pageshow", () => {
      for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
      for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
    });
  }

  // A link to a page that asks first opens the same question in place.
  function askInPlace() {
    document.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      const dialog = document.getElementById(event.target.closest("a[data-dialog]")?.dataset.dialog);
      if (!dialog) return;
      event.preventDefault();
      dialog.showModal();
    });
  }

  function focusFirstFault() {
    document.getElementById("faults")?.focus();
  }

  function closeMenus() {
    const account = document.querySelector("details.account");
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (location.hash === "#navigation") location.hash = "#main";
      if (account?.open) {
        account.open = false;
        account.querySelector("summary").focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (account?.open && !account.contains(event.target)) account.open = false;
    });
  }

  startThemeSwitch();
  startLiveIndicator();
  endRequestsWithPage();
  holdSentForms();
  askInPlace();
  focusFirstFault();
  closeMenus();
})();
