// Sends forms that change something without leaving the page, so that a refusal is shown beside the button that was pressed.
// Without it the same forms work, and lead to the answer of the server.
'use strict';
(() => {
  async function refusal(answer) {
    const problem = await answer.json().catch(() => null);
    return problem && problem.detail ? problem.title + ': ' + problem.detail : 'The server answered ' + answer.status + '.';
  }

  async function send(form) {
    const headers = { 'X-Holdfast-Console': '1' };
    const answer = await fetch(form.action, { method: 'POST', headers, body: new URLSearchParams(new FormData(form)) });
    if (answer.ok) {
      location.assign(answer.url);
      return null;
    }
    return refusal(answer);
  }

  async function submitted(event) {
    const form = event.target.closest('form[data-act]');
    if (!form) return;
    event.preventDefault();
    const said = form.querySelector('[role=alert]');
    const buttons = form.querySelectorAll('button');
    said.textContent = '';
    buttons.forEach((button) => (button.disabled = true));
    const failed = await send(form).catch(() => 'The server does not answer.');
    buttons.forEach((button) => (button.disabled = false));
    if (failed !== null) {
      said.textContent = failed;
      if (document.activeElement === document.body) buttons[0].focus();
    }
  }

  document.addEventListener('submit', submitted);
})();
