// Sets the chosen colours before the page is drawn. Without a choice of this browser the preferences decide.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else if (theme === "system") delete document.documentElement.dataset.theme;
  } catch { /* storage may be forbidden: the system decides */ }
})();
