"use strict";
// Runs before the page's load event, so that the browser's Back button skips this page.
document.querySelector("form[data-autosubmit]")?.requestSubmit();
