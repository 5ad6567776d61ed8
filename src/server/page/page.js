// Follows what happens: asks for the page's own part when the daemon says that it has changed, puts in
// what differs, and says so when nothing is heard any more. Without it the page is whole, as of when it
// was loaded.
(() => {
  'use strict';

  /** Without a word for so long, what is shown is old. The daemon says something each three seconds. */
  const LATE_MS = 8000;
  /** Where there is no place among those who are told, the page asks by itself. */
  const ASK_MS = 5000;
  /** Not even a proxy that mixes versions has a page loaded anew more often. */
  const RELOAD_MS = 60000;

  const main = document.getElementById('main');
  const clock = document.getElementById('clock');
  const link = document.getElementById('link');
  const late = document.getElementById('late');
  const news = document.getElementById('news');
  const here = new URL(location.href);
  const root = new URL(document.querySelector('.brand a').getAttribute('href'), here);

  let heard = moment();
  let ahead = Number(clock.dataset.now) * 1000 - Date.now();
  let shown = null;
  let asking = false;
  let again = false;
  let events = null;
  let seen = null;
  let askedAt = null;
  let listensSince = null;
  /** Since when something has changed that is not shown. */
  let owed = null;
  const every = Number(clock.dataset.every) * 1000;
  /** The versions that the daemon tells are those of the status. */
  const isStatus = clock.dataset.page === 'status';

  /** Now, by both clocks: one may be set, and the other stands still while a computer sleeps. */
  function moment() {
    return { wall: Date.now(), steady: performance.now() };
  }

  /** Milliseconds since then, by the clock that says more. */
  function since(then) {
    const now = moment();
    return Math.max(now.wall - then.wall, now.steady - then.steady);
  }

  function hear(now) {
    heard = moment();
    if (Number.isFinite(now)) {
      ahead = now * 1000 - heard.wall;
    }
  }

  const isSilent = () => since(owed ?? heard) > LATE_MS + (owed === null ? 0 : every);

  // The same words as those of the server.
  function span(seconds) {
    const whole = Math.floor(Math.max(0, seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  }

  function write(element, text) {
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  function tick() {
    const isLate = isSilent();
    const now = (Date.now() + ahead) / 1000;
    for (const time of document.querySelectorAll('time[data-at]')) {
      const age = now - Number(time.dataset.at);
      write(time, age <= -1 ? `in ${span(-age)}` : `${span(age)} ago`);
    }
    // The time of the server stands still with its last word.
    const at = new Date((isLate ? heard.wall : Date.now()) + ahead);
    write(document.getElementById('now'), `${at.toISOString().slice(11, 19)} UTC`);
    write(link, isLate ? 'last heard' : 'live');
    link.classList.toggle('live', !isLate);
    document.body.classList.toggle('stale', isLate);
    late.hidden = !isLate;
    if (isLate) {
      write(late, `No answer since ${span(since(owed ?? heard) / 1000)}: all below is as it was then.`);
    }
  }

  const key = (node) => (node.nodeType === 1 ? node.id || node.dataset?.key || '' : '');
  const alike = (one, other) => one.nodeName === other.nodeName && key(one) === key(other);

  /** Makes `old` as `fresh` is, and leaves alone what already is: what is open, focused or selected stays. */
  function follow(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      const isOpen = name === 'open' && old.nodeName === 'DETAILS';
      if (!fresh.hasAttribute(name) && !isOpen) old.removeAttribute(name);
    }
    if (old.nodeName === 'SELECT' && old === document.activeElement) return;
    if (old.nodeName === 'TIME' && old.dataset.at) return;
    children(old, fresh);
  }

  function children(old, fresh) {
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      let match = at;
      while (match && !alike(match, wanted)) match = match.nextSibling;
      if (!match) {
        old.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      while (at !== match) {
        const passed = at;
        at = at.nextSibling;
        // What comes later in the new order is kept for then.
        const later = key(passed) && [...fresh.childNodes].some((node) => alike(passed, node));
        if (later) old.appendChild(passed);
        else passed.remove();
      }
      at = match.nextSibling;
      follow(match, wanted);
    }
    while (at) {
      const passed = at;
      at = at.nextSibling;
      passed.remove();
    }
  }

  async function ask() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    const url = new URL(here);
    url.searchParams.set('fragment', '');
    url.hash = '';
    try {
      const answer = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(LATE_MS) });
      const whole = new DOMParser().parseFromString(`<main>${await answer.text()}</main>`, 'text/html');
      const fresh = whole.querySelector('main');
      // What a proxy says for itself, a login above all, is no answer; that a target is gone is one.
      if (fresh.querySelector('#answer')) {
        children(main, fresh);
        told();
        hear(NaN);
        owed = null;
      } else {
        seen = null;
      }
    } catch {
      // The silence tells, and the next event has it asked for again.
      seen = null;
    }
    asking = false;
    tick();
    if (again) {
      again = false;
      ask();
    }
  }

  /** Says a new answer to who cannot see it, and puts it into the title. */
  function told() {
    const answer = document.getElementById('answer');
    const { title } = answer.closest('section').dataset;
    document.title = (title ?? answer.textContent) + document.title.slice(document.title.lastIndexOf(' · '));
    if (answer.textContent === shown) return;
    if (shown !== null) write(news, answer.textContent);
    shown = answer.textContent;
  }

  function listen() {
    events?.close();
    const url = new URL('api/v1/live', root);
    const probe = here.searchParams.get('probe');
    if (probe && isStatus) url.searchParams.set('probe', probe);
    events = new EventSource(url);
    listensSince = moment();
    const said = (event) => {
      const { version, build, now } = JSON.parse(event.data);
      hear(now);
      // Another version of the daemon has come, and what it says may need its own script and style.
      if (build !== clock.dataset.build && performance.now() > RELOAD_MS) {
        location.reload();
        return;
      }
      // What was shown when the page was loaded is asked for once more: it may have changed since.
      if (version === seen && isStatus) return;
      const isDue = askedAt === null || since(askedAt) >= every;
      if (isStatus || isDue) owed ??= moment();
      if (!isDue) return;
      seen = version;
      askedAt = moment();
      ask();
    };
    events.addEventListener('beat', said);
    events.addEventListener('change', said);
  }

  /** What is shown may be hours old. */
  function wake() {
    tick();
    ask();
    listen();
  }

  // A page that nobody sees keeps no connection: browsers have few for all their pages.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      events?.close();
      events = null;
    } else {
      wake();
    }
  });
  // One to which somebody goes back is shown as it was left.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) wake();
  });
  document.addEventListener('change', (event) => {
    if (event.target.matches('select[data-submit]')) event.target.form.submit();
  });
  let asked = 0;
  setInterval(() => {
    if (document.hidden) return;
    if (events?.readyState === EventSource.CLOSED) {
      asked += 1;
      if (asked % 6 === 0) listen();
      else ask();
    } else if (isSilent()) {
      // A connection that has died without a word, in another network or while the computer slept, stays
      // open for the browser. One on a bad line may take a while to be there.
      if (since(listensSince) > 2 * LATE_MS) listen();
      ask();
    }
  }, ASK_MS);
  setInterval(tick, 1000);
  told();
  listen();
  tick();
})();
