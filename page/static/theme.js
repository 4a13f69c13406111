// Light or dark before anything is drawn: what the toggle chose, else what the system says.
(() => {
  const chosen = localStorage.getItem("parley-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
