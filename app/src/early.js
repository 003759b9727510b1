// Before the first paint: the chosen theme. Before the page is alive: what is pressed is remembered,
// so that it can be done then.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("skein-theme");
    if (theme) root.dataset.theme = theme;
  } catch {}
  const early = (event) => {
    if (root.hasAttribute("data-hydrated")) return;
    const target = event.target;
    if (event.type === "click") {
      const button = target.closest?.("button");
      if (button) root.early = button;
    } else if (target.id === "message" && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      root.early = document.querySelector("button.send");
    }
  };
  addEventListener("click", early);
  addEventListener("keydown", early);
})();
