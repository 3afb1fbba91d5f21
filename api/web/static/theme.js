// Before anything is drawn: the theme that was chosen here, if one was. Without one the browser's setting counts.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the choice is then forgotten with the page.
}
