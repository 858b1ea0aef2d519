"""The one script of the pages, which all work without it.

It draws parts anew while somebody types, and adds a button that copies.
"""

SCRIPT = """"use strict";
for (const form of document.querySelectorAll("form[data-fills]")) {
  let waiting = 0, asked = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const mine = ++asked, url = form.action + "?" + new URLSearchParams(new FormData(form));
      const answer = await fetch(url);
      if (!answer.ok || mine !== asked) return;
      const drawn = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = drawn.getElementById(form.dataset.fills), here = \
document.getElementById(form.dataset.fills);
      if (part && here) { here.replaceWith(part); copies(part); }
      history.replaceState(null, "", url);
    }, 300);
  });
}
function copies(within) {
  for (const text of within.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    });
    text.before(button);
  }
}
copies(document);
"""
