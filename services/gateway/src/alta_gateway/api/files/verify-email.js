"use strict";
(() => {
  const title = document.getElementById("title");
  const text = document.getElementById("text");
  const button = document.getElementById("confirm");
  // The fragment never leaves the browser: no log and no referrer holds the token. A click sends it, so that a mail
  // scanner that only opens links does not use it up.
  const fragment = location.hash.slice(1);
  const token = new URLSearchParams(fragment).get("token") || (fragment.includes("=") ? "" : fragment);

  function say(heading, sentence, isBad = false) {
    title.textContent = heading;
    text.textContent = sentence;
    text.className = isBad ? "bad" : "";
  }

  async function confirm() {
    button.disabled = true;
    say("Confirming…", "This takes a moment.");
    try {
      const answer = await fetch("/v1/auth/verify-email", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
      });
      if (answer.ok) {
        button.hidden = true;
        history.replaceState(null, "", location.pathname);
        say("Your address is confirmed", "You can sign in now. This page may be closed.");
        return;
      }
      const problem = await answer.json().catch(() => ({}));
      const again = answer.status === 429 || answer.status >= 500;
      say("That did not work", problem.detail || "Please try again later.", true);
      button.disabled = !again;
      button.textContent = "Try again";
      button.hidden = !again;
    } catch {
      say("That did not work", "The server cannot be reached. Check your connection and try again.", true);
      button.disabled = false;
      button.textContent = "Try again";
    }
  }

  if (token) {
    button.disabled = false;
    button.addEventListener("click", confirm);
  } else {
    button.hidden = true;
    say("The link is not whole", "Open it again from the mail, or copy all of it into the address bar.", true);
  }
})();
