// Keeps the regions of a page up to date from the frames that the server sends each second.
// A region in which somebody is, by keyboard or in a dialog, stays as it is. A page that got nothing for a while says so.
'use strict';
(() => {
  const STALE_MS = 3000;
  const RETRY_MS = 3000;
  const address = '/console/live?page=' + encodeURIComponent(document.body.dataset.livePage);
  const banner = document.getElementById('stale');
  let source = null;
  let last = Date.now();

  function isInUse(region) {
    return region.contains(document.activeElement) || region.querySelector('dialog[open]') !== null;
  }

  function show(html) {
    const frame = document.createElement('template');
    frame.innerHTML = html;
    for (const fresh of frame.content.querySelectorAll('[data-live]')) {
      const region = document.getElementById(fresh.id);
      if (region && region.innerHTML !== fresh.innerHTML && !isInUse(region)) {
        region.replaceChildren(...fresh.childNodes);
      }
    }
  }

  function received(event) {
    last = Date.now();
    show(event.data);
    judge();
  }

  function judge() {
    const stale = Date.now() - last >= STALE_MS;
    if (banner.hidden === stale) {
      const since = new Date(last).toISOString().slice(11, 19);
      banner.textContent = stale ? 'Stale: the server has sent nothing since ' + since + ' UTC.' : '';
      banner.hidden = !stale;
      document.body.classList.toggle('is-stale', stale);
    }
  }

  function open() {
    if (source !== null || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener('frame', received);
    source.onerror = () => {
      if (source !== null && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, RETRY_MS);
      }
    };
  }

  function close() {
    if (source !== null) source.close();
    source = null;
  }

  // A browser has six connections to a host: a tab that nobody sees keeps none of them.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      close();
    } else {
      last = Date.now();
      open();
    }
  });
  setInterval(() => document.hidden || judge(), 500);
  open();
})();
