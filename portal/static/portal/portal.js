// What the pages do beyond HTML. Every page works without this file.
"use strict";

(() => {
  const FAILURES_BEFORE_NOTICE = 3;
  const announcer = document.getElementById("announcer");
  const started = Date.now();
  let failures = 0;
  let announced = announcements(document);
  let lastAnswer = "";

  function announcements(root) {
    return new Set(Array.from(root.querySelectorAll("[data-announce]"), (element) => element.dataset.announce));
  }

  // Swapped parts are no live regions of their own: only what is new since the last look is spoken.
  function announceNews() {
    const now = announcements(document);
    const news = [...now].filter((text) => !announced.has(text));
    announced = now;
    if (news.length) announcer.textContent = news.join(". ");
  }

  function setBusy(form, busy) {
    const button = form.querySelector("button");
    const label = button.querySelector("[data-label]");
    label.dataset.label ||= label.textContent;
    label.textContent = busy ? form.dataset.busy : label.dataset.label;
    // Not `disabled`, which would throw the keyboard focus away.
    if (busy) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }

  function isBusy() {
    return document.querySelector("form[data-busy] [aria-disabled=true]") !== null;
  }

  function autosubmit() {
    const form = document.querySelector("form[data-autosubmit]");
    if (!form || isBusy()) return;
    // Back from Studio must lead to the teams; to this page, it would open Studio again.
    history.replaceState(null, "", form.dataset.return);
    form.requestSubmit();
  }

  function showElapsed() {
    const element = document.querySelector("[data-elapsed]");
    const seconds = Math.round((Date.now() - started) / 1000);
    if (element && seconds >= 3) element.textContent = `${seconds} s so far.`;
  }

  function pollFailed(event) {
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    // No longer this person's team: the whole page says so better than a part of it.
    if (status === 403 || status === 404) location.reload();
    failures += 1;
    const notice = document.getElementById("poll-trouble");
    if (notice && failures >= FAILURES_BEFORE_NOTICE) notice.hidden = false;
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-busy]");
    if (!form) return;
    if (isBusy()) event.preventDefault();
    else setBusy(form, true);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    announcer.textContent = "Copied";
    button.textContent = "Copied";
  });

  // The page comes out of the back/forward cache as it was left: with a busy button.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    if (document.querySelector("form[data-autosubmit]")) location.reload();
    document.querySelectorAll("form[data-busy]").forEach((form) => setBusy(form, false));
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isBusy() || (document.hidden && event.detail.elt.id === "tiles")) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, elt } = event.detail;
    if (elt.id === "tiles" && !xhr.responseText.includes('id="tiles"')) {
      // Signed out, or out of the last team, since the page was loaded.
      event.detail.shouldSwap = false;
      location.reload();
    } else if (xhr.status === 200 && xhr.responseText === lastAnswer) {
      // Nothing moved: leave the page alone, and the animations in it.
      event.detail.shouldSwap = false;
    }
    lastAnswer = xhr.responseText;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) return;
    failures = 0;
    const notice = document.getElementById("poll-trouble");
    if (notice) notice.hidden = true;
  });
  document.addEventListener("htmx:afterSwap", () => {
    showElapsed();
    announceNews();
    autosubmit();
  });
  ["htmx:responseError", "htmx:sendError", "htmx:timeout"].forEach((name) => {
    document.addEventListener(name, pollFailed);
  });

  if (navigator.clipboard) {
    document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = false));
  }
  if (document.querySelector("[data-elapsed]")) setInterval(showElapsed, 1000);
  autosubmit();
})();
