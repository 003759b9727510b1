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
